"""A verifier that is not ours (tlog-scales) takes what a receiver was told, and refuses what is damaged."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.exceptions import InvalidSignature
from django.db import connection
from tlog_scales.backend import LocalBackend
from tlog_scales.reader import TilesReader
from tlog_scales.signing import Vkey
from tlog_scales.tiles import leaf_hash
from tlog_scales.tlog import ConsistencyProofInvalid, InclusionProof, InclusionProofInvalid

from rqcron_events.core.seal.leaf import leaf
from rqcron_events.core.seal.merkle import consistency_proof, inclusion_proof
from rqcron_events.ledger.backend import backend_of
from rqcron_events.models import CronSeal
from rqcron_events.seals.stored import StoredTiles
from tests.sealing import KEY, fire, history, keep_outside, seal

VKEY = Vkey.from_string(KEY.verifier.text)


@pytest.fixture
def reader(tmp_path: Path) -> TilesReader:
    history("alpha", runs=150)
    seal()
    keep_outside(tmp_path)
    fire("beta", 1)
    seal()
    keep_outside(tmp_path)
    return TilesReader(LocalBackend(tmp_path))


def leaves() -> list[bytes]:
    return [leaf(row) for row in backend_of(connection).read(connection, 0, None, 10_000)]


def test_it_takes_checkpoint_tiles_and_the_proofs_that_it_makes(reader: TilesReader):
    point = reader.get_checkpoint()
    point.verify(VKEY)
    assert point.size == 606
    assert reader.calculate_root_hash() == point.root_hash
    for index, content in enumerate(leaves()):
        proof = reader.get_inclusion_proof(index, point.size)
        proof.check(leaf_hash(content), point.root_hash)
    first = CronSeal.objects.first()
    consistent = reader.get_consistency_proof(first.size, point.size)
    consistent.check(bytes(first.root), point.root_hash)
    with pytest.raises(ConsistencyProofInvalid):
        consistent.check(leaf_hash(b"other"), point.root_hash)


def test_it_makes_the_same_proofs_as_we_do(reader: TilesReader):
    size, subtree = reader.get_checkpoint().size, StoredTiles().subtree
    for index in (0, 1, 255, 256, 511, 512, 604, 605):
        ours = inclusion_proof(index, size, subtree)
        assert reader.get_inclusion_proof(index, size).node_hashes == ours
    for old in (1, 2, 255, 256, 257, 512, 601, 606):
        ours = consistency_proof(old, size, subtree)
        assert reader.get_consistency_proof(old, size).node_hashes == ours


def test_it_refuses_what_is_damaged(reader: TilesReader, tmp_path: Path):
    point, content = reader.get_checkpoint(), leaves()
    ours = inclusion_proof(7, point.size, StoredTiles().subtree)
    proof = InclusionProof(7, point.size, ours)
    proof.check(leaf_hash(content[7]), point.root_hash)
    with pytest.raises(InclusionProofInvalid):
        proof.check(leaf_hash(content[7].replace(b"alpha", b"omega")), point.root_hash)
    with pytest.raises(InclusionProofInvalid):
        wrong = InclusionProof(7, point.size, [ours[0], leaf_hash(b"x"), *ours[2:]])
        wrong.check(leaf_hash(content[7]), point.root_hash)

    tile = tmp_path / "tile/0/001"
    tile.write_bytes(b"\1" * 32 + tile.read_bytes()[32:])
    damaged = TilesReader(LocalBackend(tmp_path))
    damaged.get_checkpoint()
    with pytest.raises(InclusionProofInvalid):
        damaged.get_inclusion_proof(257, point.size).check(leaf_hash(content[257]), point.root_hash)

    file = tmp_path / "checkpoint"
    file.write_text(file.read_text().replace("\n606\n", "\n607\n"))
    with pytest.raises(InvalidSignature):
        damaged.get_checkpoint().verify(VKEY)

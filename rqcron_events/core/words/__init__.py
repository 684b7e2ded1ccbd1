"""Words apart from facts: what may name a person can be removed, and every fact stays as it was."""

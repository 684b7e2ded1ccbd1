"""Crons that run only when somebody asks, for the steps of the flow one by one."""

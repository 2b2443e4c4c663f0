"""A policy that does not make sense: the configuration's fault, found while loading."""

from __future__ import annotations


class PolicyError(Exception):
    """`key` is the place in the configuration, `problem` one clause, `fix` what to write instead.

    The file's name is added by whoever read the file.
    """

    def __init__(self, key: str, problem: str, fix: str) -> None:
        super().__init__(f"{key}: {problem}. {fix}")
        self.key = key
        self.problem = problem
        self.fix = fix

    def __reduce__(self) -> tuple[type[PolicyError], tuple[str, str, str]]:
        return type(self), (self.key, self.problem, self.fix)

"""Many cases in one test: each is tried, and the test names all that failed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType


class Failures:
    """Collects what fails of many cases that cost next to nothing, and raises it together at the end.

    Examples
    --------
    >>> with Failures() as failures:
    ...     for case in cases:
    ...         with failures.of(case.name):
    ...             assert case.result == case.expected
    """

    def __init__(self) -> None:
        self._names: list[str] = []
        self._errors: list[Exception] = []
        self._count = 0

    @contextmanager
    def of(self, name: object) -> Iterator[None]:
        """Try one case."""
        self._count += 1
        try:
            yield
        except Exception as error:  # noqa: BLE001 - it is raised at the end
            error.add_note(f"case: {name}")
            self._names.append(str(name))
            self._errors.append(error)

    def __enter__(self) -> Failures:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if error is not None:
            return
        assert self._count, "there are no cases"
        if self._errors:
            raise ExceptionGroup(f"{len(self._errors)} of {self._count} failed: {', '.join(self._names)}", self._errors)

"""A trace: NDJSON, one step a line, read strictly and without ever holding more than one line.

The first line may be the site's own sections of the policy; everything else is steps in the order of time. A fault ends the
reading: scores of half a trace would look like scores.
"""

import gzip
import io
import json
import sys
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Final, NoReturn, Self

from authz_server.errors import Fault, FaultyTextError
from authz_server.policy.tree import shown
from authz_server.trial.trace_fields import FieldError, kind
from authz_server.trial.trace_step import SitePolicy, TraceStep, read_site, read_step

STDIN: Final = "-"
MAX_LINE: Final = 1 << 20
"""Bytes of a step: the largest body that the server reads by default, fully escaped, and as much again for the rest."""
MAX_POLICY_LINE: Final = 8 << 20
"""Bytes of the first line: a policy file may have as many."""
_MAX_DIGITS: Final = 20
"""A sign and 19 digits hold every number of 64 bits; longer ones are refused before they are converted."""
_GZIP: Final = b"\x1f\x8b"
"""How such a file begins (RFC 1952 2.3.1)."""


class TraceError(FaultyTextError):
    """A trace that cannot be read."""


class Trace:
    """One trace, read once. A context manager that closes what it opened.

    Attributes:
        name: for messages.
        policy: what the first line says, None when it is a step.
        size: bytes of the file; 0 when that is not known.
    """

    def __init__(self, source: str) -> None:
        """Open a trace and read its first line.

        Args:
            source: a path, of a gzip file too, or `-` for standard input.

        Raises:
            TraceError: it cannot be opened, or the first line is faulty.
        """
        self.name = "standard input" if source == STDIN else source
        self.policy: SitePolicy | None = None
        self._line = 0
        self._opened: IO[bytes] | None = None
        try:
            raw = sys.stdin.buffer if source == STDIN else self._open(source)
            self.size = Path(source).stat().st_size if source != STDIN else 0
            self._raw = raw
            self._lines = _unpacked(raw)
            self._first = self._record(MAX_POLICY_LINE)
            if self._first is not None and "policy" in self._first:
                self.policy, self._first = read_site(self._first), None
        except FieldError as error:
            self.close()
            raise self._fault(error.message, error.path) from None
        except OSError as error:
            self.close()
            raise self._fault(error.strerror or "cannot be read", line=0) from error
        except BaseException:
            self.close()
            raise

    def _open(self, source: str) -> IO[bytes]:
        self._opened = Path(source).open("rb")  # noqa: SIM115 - closed by `close`
        return self._opened

    def __enter__(self) -> Self:
        """Nothing more: it is open."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        self.close()

    def close(self) -> None:
        """Close what was opened; standard input stays open."""
        if self._opened is not None:
            self._opened.close()

    @property
    def position(self) -> int:
        """How many bytes of the file were taken so far."""
        return self._raw.tell() if self.size else 0

    def __iter__(self) -> Iterator[TraceStep]:
        """The steps in the order of time.

        Raises:
            TraceError: at the first line that is no step, or goes back in time; at the end, when there was none.
        """
        last = -1.0
        record, self._first = self._first, None
        if record is None:
            record = self._record(MAX_LINE)
        while record is not None:
            try:
                step = read_step(record, self._line)
            except FieldError as error:
                raise self._fault(_hinted(error), error.path) from None
            if step.t < last:
                raise self._fault(f"time goes back: {step.t:g} follows {last:g}", "t")
            last = step.t
            yield step
            record = self._record(MAX_LINE)
        if last < 0:
            raise self._fault("holds no step", line=0)

    def _record(self, most: int) -> Any:
        """The value of the next line that is not blank; None at the end."""
        while True:
            line = self._read(most + 1)
            if not line:
                return None
            self._line += 1
            if len(line) > most:
                raise self._fault(f"the line has more than {most} bytes")
            if not line.isspace():
                return self._parsed(line)

    def _read(self, most: int) -> bytes:
        try:
            return self._lines.readline(most)
        except (OSError, EOFError, zlib.error) as error:
            raise self._fault(f"cannot be read on: {error}") from error

    def _parsed(self, line: bytes) -> Any:
        try:
            text = line.decode()
            value = _DECODER.decode(text)
            if "\\u" in text:  # the only way to a lone surrogate, which has no UTF-8 form
                json.dumps(value, ensure_ascii=False).encode()
        except json.JSONDecodeError as error:
            raise self._fault(f"is not JSON: {error.msg} at character {error.pos + 1}") from None
        except UnicodeDecodeError as error:
            raise self._fault(f"is not UTF-8 at byte {error.start + 1}") from None
        except UnicodeEncodeError:
            raise self._fault("half of a surrogate pair is no text; write a body as {`base64`: …}") from None
        except RecursionError:
            raise self._fault("is nested too deeply") from None
        except FieldError as error:
            raise self._fault(error.message) from None
        if type(value) is not dict:
            raise self._fault(f"a mapping is expected, not {kind(value)}")
        return value

    def fault(self, step: TraceStep, message: str, path: str = "") -> TraceError:
        """A fault of a step that the reader itself could not see."""
        return TraceError([Fault(self.name, step.line, path, message)])

    def _fault(self, message: str, path: str = "", line: int | None = None) -> TraceError:
        return TraceError([Fault(self.name, self._line if line is None else line, path, message)])


def _hinted(error: FieldError) -> str:
    """The message, with a word about what belongs to the first line."""
    if error.path == "policy":
        return "the site's sections stand in the first line, and nowhere else"
    return error.message


def _unpacked(raw: IO[bytes]) -> IO[bytes]:
    """The lines of a file that may be compressed."""
    plain: Any = raw  # what stands for standard input may be no `BufferedReader`
    buffered = raw if isinstance(raw, io.BufferedReader) else io.BufferedReader(plain)
    if buffered.peek(len(_GZIP))[: len(_GZIP)] == _GZIP:
        return io.BufferedReader(gzip.GzipFile(fileobj=buffered))
    return buffered


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        twice = Counter(name for name, _ in pairs).most_common(1)[0][0]
        raise FieldError("", f"`{shown(twice)}` stands twice in one mapping")
    return members


def _integer(digits: str) -> int:
    if len(digits) > _MAX_DIGITS:
        raise FieldError("", f"a number of {len(digits)} digits")
    return int(digits)


def _refuse_constant(word: str) -> NoReturn:
    raise FieldError("", f"`{word}` is no number of JSON")


_DECODER: Final = json.JSONDecoder(object_pairs_hook=_members, parse_int=_integer, parse_constant=_refuse_constant)

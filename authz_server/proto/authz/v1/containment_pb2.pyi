import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Entity(_message.Message):
    __slots__ = ("type", "parts")
    TYPE_FIELD_NUMBER: _ClassVar[int]
    PARTS_FIELD_NUMBER: _ClassVar[int]
    type: str
    parts: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, type: _Optional[str] = ..., parts: _Optional[_Iterable[str]] = ...) -> None: ...

class ContainRequest(_message.Message):
    __slots__ = ("entity", "duration", "reason", "critical", "force")
    ENTITY_FIELD_NUMBER: _ClassVar[int]
    DURATION_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    CRITICAL_FIELD_NUMBER: _ClassVar[int]
    FORCE_FIELD_NUMBER: _ClassVar[int]
    entity: Entity
    duration: _duration_pb2.Duration
    reason: str
    critical: bool
    force: bool
    def __init__(self, entity: _Optional[_Union[Entity, _Mapping]] = ..., duration: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., reason: _Optional[str] = ..., critical: _Optional[bool] = ..., force: _Optional[bool] = ...) -> None: ...

class ContainResponse(_message.Message):
    __slots__ = ("contained",)
    CONTAINED_FIELD_NUMBER: _ClassVar[int]
    contained: Contained
    def __init__(self, contained: _Optional[_Union[Contained, _Mapping]] = ...) -> None: ...

class ReleaseRequest(_message.Message):
    __slots__ = ("entity", "reason")
    ENTITY_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    entity: Entity
    reason: str
    def __init__(self, entity: _Optional[_Union[Entity, _Mapping]] = ..., reason: _Optional[str] = ...) -> None: ...

class ReleaseResponse(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class ListRequest(_message.Message):
    __slots__ = ("page_size", "page_token")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListResponse(_message.Message):
    __slots__ = ("contained", "next_page_token")
    CONTAINED_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    contained: _containers.RepeatedCompositeFieldContainer[Contained]
    next_page_token: str
    def __init__(self, contained: _Optional[_Iterable[_Union[Contained, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class Contained(_message.Message):
    __slots__ = ("id", "entity", "since", "until", "reason", "rule", "author", "critical", "release_asked_by")
    ID_FIELD_NUMBER: _ClassVar[int]
    ENTITY_FIELD_NUMBER: _ClassVar[int]
    SINCE_FIELD_NUMBER: _ClassVar[int]
    UNTIL_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    RULE_FIELD_NUMBER: _ClassVar[int]
    AUTHOR_FIELD_NUMBER: _ClassVar[int]
    CRITICAL_FIELD_NUMBER: _ClassVar[int]
    RELEASE_ASKED_BY_FIELD_NUMBER: _ClassVar[int]
    id: str
    entity: Entity
    since: _timestamp_pb2.Timestamp
    until: _timestamp_pb2.Timestamp
    reason: str
    rule: str
    author: str
    critical: bool
    release_asked_by: str
    def __init__(self, id: _Optional[str] = ..., entity: _Optional[_Union[Entity, _Mapping]] = ..., since: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., until: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., reason: _Optional[str] = ..., rule: _Optional[str] = ..., author: _Optional[str] = ..., critical: _Optional[bool] = ..., release_asked_by: _Optional[str] = ...) -> None: ...

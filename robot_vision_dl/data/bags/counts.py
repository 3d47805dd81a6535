"""How many messages a bag claims to have and on which topics, and what there is."""
from typing import Any, Dict, Iterable, List, Mapping, NamedTuple

from ...core.text.printable import printable
from .channel import Channel
from .message_types import normal_type

MOST_METADATA_BYTES = 64 << 20
"""Longest metadata of a bag, as a file or in a database: the QoS profiles of every topic are in it."""


class Claim(NamedTuple):
    """What metadata says of a topic; empty texts where it does not say."""

    messages: int
    msgtype: str
    encoding: str


def claims_of_metadata(metadata: Any) -> Dict[str, Claim]:
    """Topics as ``metadata.yaml`` has them, every scalar as text; empty where it does not say.

    Args:
        metadata: the content of ``rosbag2_bagfile_information``, or the mapping that has it.
    """
    if isinstance(metadata, dict) and 'rosbag2_bagfile_information' in metadata:
        metadata = metadata['rosbag2_bagfile_information']
    topics = metadata.get('topics_with_message_count') if isinstance(metadata, dict) else None
    found: Dict[str, Claim] = {}
    for item in topics if isinstance(topics, list) else ():
        topic = item.get('topic_metadata') if isinstance(item, dict) else None
        if not isinstance(topic, dict):
            continue
        name, count = topic.get('name'), item.get('message_count')
        if isinstance(name, str) and isinstance(count, str) and count.isascii() and count.isdigit() and len(count) < 19:
            kind, encoding = (value if isinstance(value, str) else ''
                              for value in (topic.get('type'), topic.get('serialization_format')))
            before = found[name].messages if name in found else 0
            found[name] = Claim(before + int(count), kind, encoding)
    return found


def by_topic(channels: Iterable[Channel], counts: Mapping[int, int]) -> Dict[str, int]:
    """Messages by topic from messages by channel; several channels can have the same topic."""
    found: Dict[str, int] = {}
    for channel in channels:
        found[channel.topic] = found.get(channel.topic, 0) + counts.get(channel.key, 0)
    return found


def differences(channels: Iterable[Channel], counts: Mapping[str, int], claims: Mapping[str, Claim],
                who: str) -> List[str]:
    """Sentences on where ``who`` claims something else than there is.

    Args:
        channels: of all files of the recording.
        counts: messages that were found, by topic.
        claims: by topic.
        who: made the claims, e.g. ``metadata.yaml``.
    """
    found = [missing(printable(topic), counts.get(topic, 0), claim.messages, who)
             for topic, claim in claims.items() if counts.get(topic, 0) != claim.messages]
    for channel in channels:
        claim = claims.get(channel.topic)
        if claim is None:
            continue
        for there, claimed in ((normal_type(channel.msgtype), normal_type(claim.msgtype)),
                               (channel.encoding, claim.encoding)):
            if claimed and there != claimed:
                found.append(f'{printable(channel.topic)}: is {printable(claimed, 100)} as {who} claims, but '
                             f'{printable(there, 100)} in the file; one of them is damaged')
    return list(dict.fromkeys(found))


def missing(topic: str, found: int, claimed: int, who: str = 'it') -> str:
    """What is said where ``who`` claims another number of messages than can be read."""
    if found < claimed:
        return f'{topic}: {claimed - found} of the {claimed} messages that {who} claims are missing'
    return f'{topic}: {found} messages, {found - claimed} more than {who} claims; one of them is damaged'

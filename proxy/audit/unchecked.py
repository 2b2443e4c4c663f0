"""What a verdict does not say: which attacks the keys and copies at hand cannot show. In words for people."""

from __future__ import annotations

from collections.abc import Iterator

from proxy.audit.text import counted
from proxy.audit.trust import Trust
from proxy.audit.verdict import Proven, Verdict


def unchecked(trust: Trust, verdict: Verdict) -> list[str]:
    """One sentence for each thing that was not checked, and what it takes."""
    return [*_of_keys(trust), *_of_the_end(trust, verdict), *_of_copies(trust, verdict)]


def _of_keys(trust: Trust) -> Iterator[str]:
    if not trust.public_keys:
        yield (
            "signatures of the checkpoints (--public-key): whoever could write to the files could have made the chain anew"
        )
    if not trust.seal_keys:
        yield "the seal (--seal-key): whoever had the keys of this host could have made the past anew"
    if trust.host_keys and (trust.public_keys or trust.seal_keys):
        yield (
            "keys that were read on this host: who changed the log could have changed them too. "
            "Keep signing.pub and seal.key elsewhere, and give them with --public-key and --seal-key"
        )


def _of_the_end(trust: Trust, verdict: Verdict) -> Iterator[str]:
    head = trust.head
    for proven in verdict.chains:
        if head is None or head.chain != proven.chain:
            yield (
                f"the end of chain {proven.chain}: that nothing was cut off behind event {proven.last} (--head)"
            )
        elif not head.live and head.sequence < proven.last:
            yield f"what is behind event {head.sequence}, where the head was copied"
        yield from _of_the_last_events(trust, proven)


def _of_the_last_events(trust: Trust, proven: Proven) -> Iterator[str]:
    """A checkpoint, and a head, speak of what is before them."""
    for known, what, up_to in (
        (trust.public_keys, "signed", proven.signed),
        (trust.seal_keys, "sealed", proven.sealed),
    ):
        if known and up_to + 1 < proven.last:  # the one behind it is the checkpoint
            behind = counted(proven.last - max(up_to, proven.first - 1), "event")
            yield f"the last {behind} of chain {proven.chain}: not {what} yet"
    if trust.seal_keys and proven.first > 1:
        yield (
            f"the seal of the events from {proven.first} to the first checkpoint: those before them are not here"
        )


def _of_copies(trust: Trust, verdict: Verdict) -> Iterator[str]:
    if trust.copies is None:
        yield (
            "copies (--copy): log and state taken back together to an earlier moment, and whatever somebody wrote "
            "who had all keys at that moment"
        )
        return
    for proven in verdict.chains:
        copied = trust.copies.chains.get(proven.chain)
        newest = copied.newest if copied is not None else 0
        if newest < proven.last:
            yield f"events of chain {proven.chain} behind {newest}, the last one that a copy has"

"""What gpg's status lines say about one message. Their meaning is in doc/DETAILS of GnuPG."""

from collections.abc import Sequence
from dataclasses import dataclass

from adplatform.failures import TransientFailure
from adplatform.files.bad_file import BadFile, Reason

_HIDDEN = "0000000000000000"
_BINARY = "62"  # PLAINTEXT format; the text formats change line ends, so their length is not that of the output
_SIGNATURES = ("GOODSIG", "BADSIG", "ERRSIG", "EXPSIG", "EXPKEYSIG", "REVKEYSIG", "VALIDSIG", "NEWSIG")
_DOCUMENT_CLASSES = ("00", "01")
_NO_PUBLIC_KEY = "9"
_AGENT_SOURCES = (4, 5, 15)  # gpg-error: gpg-agent, pinentry, the connection to them; damaged data has others


@dataclass(frozen=True)
class SignaturePolicy:
    """Whose signature a message must bear: full fingerprints of signing keys or of their primary keys.

    ``allow_unsigned`` admits messages without any signature. A signature that is there must be good and pinned anyway:
    one that cannot be checked is more often a changed key or an attack than a habit.
    """

    signers: frozenset[str]
    allow_unsigned: bool = False


@dataclass(frozen=True)
class StatusLine:
    """Some lines hold user ids, so none is ever quoted in a message."""

    keyword: str
    arguments: tuple[str, ...]


def parse_status(output: bytes) -> list[StatusLine]:
    words = (line.split() for line in output.decode("utf-8", "replace").split("\n"))
    return [StatusLine(w[1], tuple(w[2:])) for w in words if len(w) > 1 and w[0] == "[GNUPG:]"]


def decrypting_key(lines: Sequence[StatusLine], key_ids: frozenset[str], exit_code: int, size: int, origin: str) -> str:
    """The fingerprint of the (sub)key that opened the message, if exactly one message was opened, whole and unharmed.

    ``key_ids`` are those of our private keys, ``size`` the bytes of plaintext that came. ``exit_code`` alone says
    little: it is 2 for a damaged message and also when one of several recipients is hidden and not us.

    Raises:
        BadFile: anything else.
        TransientFailure: the agent could not use a key that it has.
    """
    if not _arguments(lines, "BEGIN_DECRYPTION"):
        if _arguments(lines, "PLAINTEXT") or _arguments(lines, "NEWSIG") or ("1",) in _arguments(lines, "NODATA"):
            raise BadFile(origin, Reason.NOT_ENCRYPTED, "is not encrypted; ask the sender to encrypt it to our key")
        raise BadFile(origin, Reason.DAMAGED, "ends or is damaged before its encrypted part; ask for the file again")
    keys = _arguments(lines, "DECRYPTION_KEY")
    if not keys:
        _refuse_unopened(lines, key_ids, origin)
    if any(info[0] == "0" and info[2:3] in ((), ("0",)) for info in _arguments(lines, "DECRYPTION_INFO")):
        raise BadFile(
            origin,
            Reason.NOT_INTEGRITY_PROTECTED,
            "is encrypted without integrity protection, so changes would go unseen; ask the sender for a current PGP",
        )
    if _arguments(lines, "BADSIG"):  # gpg stops here, before it has seen whether the message is unharmed
        _refuse_bad_signature(lines, origin)
    counts = [len(_arguments(lines, k)) for k in ("BEGIN_DECRYPTION", "PLAINTEXT", "END_DECRYPTION")]
    okay, unharmed = _arguments(lines, "DECRYPTION_OKAY"), _arguments(lines, "GOODMDC")
    # What damage makes of the content may look like another message, so behind the first only whole ones count.
    if _before(lines) or (unharmed and (max(counts) > 1 or _behind(lines))):
        raise BadFile(origin, Reason.SEVERAL_MESSAGES, "holds several messages or packets around its message")
    if not (okay and unharmed and min(counts) == 1) or _arguments(lines, "BADMDC"):
        raise BadFile(origin, Reason.DAMAGED, "is truncated, changed or followed by other data; ask for the file again")
    _refuse_odd_content(lines, exit_code, size, origin)
    return keys[0][0]


def signer(lines: Sequence[StatusLine], policy: SignaturePolicy, origin: str) -> str | None:
    """The fingerprint of the signer's primary key, None for an unsigned message that ``policy`` admits.

    Of several signatures all must be good, and one must be pinned.

    Raises:
        BadFile: no signature, or one that is not what ``policy`` wants.
    """
    announced = _arguments(lines, "NEWSIG")
    if not announced and not any(line.keyword in _SIGNATURES for line in lines):
        if policy.allow_unsigned:
            return None
        raise BadFile(origin, Reason.UNSIGNED, "is not signed; ask the sender to sign, or set allow_unsigned: true")
    _refuse_bad_signature(lines, origin)
    good, valid = _arguments(lines, "GOODSIG"), _arguments(lines, "VALIDSIG")
    if not len(good) == len(valid) == len(announced) or any(v[8] not in _DOCUMENT_CLASSES for v in valid):
        raise BadFile(origin, Reason.BAD_SIGNATURE, "has a signature that does not verify")
    for signature in valid:
        if policy.signers & {signature[0], signature[9]}:
            return signature[9]
    raise BadFile(
        origin,
        Reason.UNKNOWN_SIGNER,
        f"is signed by {valid[0][9]}, which is not pinned; if that is the sender's key, add it to signers",
    )


def _refuse_bad_signature(lines: Sequence[StatusLine], origin: str) -> None:
    for line in lines:
        key = line.arguments[0] if line.arguments else "?"
        match line.keyword:
            case "BADSIG":
                raise BadFile(
                    origin, Reason.BAD_SIGNATURE, f"was changed after key {key} signed it; ask for the file again"
                )
            case "ERRSIG" if line.arguments[5:6] == (_NO_PUBLIC_KEY,):
                raise BadFile(
                    origin,
                    Reason.UNKNOWN_SIGNER,
                    f"is signed by key {key}, whose public key is in no secret of signer_keys; if it is the sender's, "
                    "add it there and to signers",
                )
            case "ERRSIG":
                raise BadFile(origin, Reason.BAD_SIGNATURE, f"signature of key {key} cannot be checked by this gpg")
            case "EXPSIG":
                raise BadFile(origin, Reason.EXPIRED_SIGNATURE, f"signature of key {key} has expired")
            case "EXPKEYSIG":
                raise BadFile(
                    origin,
                    Reason.EXPIRED_SIGNATURE,
                    f"signing key {key} has expired; store the sender's extended key in signer_keys",
                )
            case "REVKEYSIG":
                raise BadFile(origin, Reason.REVOKED_SIGNER, f"signing key {key} is revoked; pin the sender's new key")


def _refuse_unopened(lines: Sequence[StatusLine], key_ids: frozenset[str], origin: str) -> None:
    recipients = [arguments[0] for arguments in _arguments(lines, "ENC_TO")]
    errors = [int(arguments[1]) for arguments in _arguments(lines, "ERROR") if arguments[0] == "pkdecrypt_failed"]
    if key_ids.intersection(recipients):
        if any(error >> 24 in _AGENT_SOURCES for error in errors):
            raise TransientFailure(f"{origin}: gpg-agent lost or could not use the private key {errors}")
        raise BadFile(origin, Reason.DAMAGED, "is addressed to our key but its header is damaged; ask for it again")
    if not recipients:
        raise BadFile(origin, Reason.WRONG_KEY, "is encrypted with a passphrase; ask the sender to use our key")
    shown = ", ".join("a hidden key" if r == _HIDDEN else r for r in dict.fromkeys(recipients))
    raise BadFile(
        origin,
        Reason.WRONG_KEY,
        f"is encrypted to {shown}; ours are {', '.join(sorted(key_ids))}. Add the old private key to private_keys, or "
        "send the sender our current public key",
    )


def _refuse_odd_content(lines: Sequence[StatusLine], exit_code: int, size: int, origin: str) -> None:
    """gpg 2.2 says DECRYPTION_OKAY also when it dropped a second plaintext or could not read all of the first."""
    errors = [arguments[0] for arguments in _arguments(lines, "ERROR")]
    if "proc_pkt.plaintext" in errors:
        raise BadFile(origin, Reason.SEVERAL_MESSAGES, "holds several files in one message; ask for one file each")
    lengths = [int(arguments[0]) for arguments in _arguments(lines, "PLAINTEXT_LENGTH")]
    binary = _arguments(lines, "PLAINTEXT")[0][0] == _BINARY
    # Trying our keys on a hidden recipient's part and a signature that fails also make the exit code 2.
    explained = any(line.keyword in ("NO_SECKEY", "BADSIG", "ERRSIG") for line in lines) or any(
        arguments[0] == _HIDDEN for arguments in _arguments(lines, "ENC_TO")
    )
    if (binary and lengths and lengths[0] != size) or (exit_code != 0 and not explained):
        raise BadFile(origin, Reason.DAMAGED, "was damaged before it was encrypted; ask for the file again")


def _before(lines: Sequence[StatusLine]) -> bool:
    """Whether there is content or a signature before what is encrypted."""
    keywords = [line.keyword for line in lines]
    return _content(keywords[: keywords.index("BEGIN_DECRYPTION")])


def _behind(lines: Sequence[StatusLine]) -> bool:
    """Whether there is content or a signature behind what is encrypted."""
    keywords = [line.keyword for line in lines]
    return "END_DECRYPTION" in keywords and _content(keywords[keywords.index("END_DECRYPTION") :])


def _content(keywords: Sequence[str]) -> bool:
    return any(keyword in (*_SIGNATURES, "PLAINTEXT") for keyword in keywords)


def _arguments(lines: Sequence[StatusLine], keyword: str) -> list[tuple[str, ...]]:
    return [line.arguments for line in lines if line.keyword == keyword]

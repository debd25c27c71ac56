"""Every option of config.ini: section, name, type, default, unit and help text. This is the only place.

A section is `node` for ``[node]``, or a kind with a name of its own, such as ``ae`` for ``[ae CT1]``.
"""

from __future__ import annotations

from dataclasses import dataclass

from medserver.config.command import COMMAND, ENGINES, ENVIRONMENT, IMAGE, PARAMETERS, SCOPES
from medserver.config.issuer import PATHS, ROLES, SIGNATURES
from medserver.config.poll import RETRIEVALS
from medserver.config.printer import ATTRIBUTES, MEDIA, OUTPUTS, PRINTER_URL
from medserver.config.processing import TYPE_LIST
from medserver.config.remote import IDENTITIES, INFORM_NAMES, SERVICES, parse_inform
from medserver.config.retention import LAST_COPY, PROOFS, parse_after, parse_percentage
from medserver.config.route import CALLING_AE_TITLE, EVIDENCE, MOMENTS, SENDS
from medserver.config.route import PRIORITIES as ROUTE_PRIORITIES
from medserver.config.security import LEVELS
from medserver.config.values import (
    AE_TITLE,
    BUCKET_URL,
    CERTIFICATES,
    CHANGES,
    ENDPOINT_URL,
    HOST,
    HOST_AND_PORT,
    HOST_AND_PORT_OR_NONE,
    HOURS,
    INDEX_URL,
    JOBS_URL,
    NAME_LIST,
    NAME_LIST_OR_NONE,
    NETWORKS,
    PATH,
    PATH_OR_NONE,
    PROCESSES,
    REPOSITORIES,
    SECTION_NAME,
    SERVICE_LIST,
    TEXT,
    TEXT_OR_NONE,
    TOKEN,
    TRANSFER_SYNTAX_LIST,
    UIDS,
    USERS,
    YES_OR_NO,
    ValueType,
    choice,
    choices,
    duration,
    duration_or_never,
    integer,
    integer_or_none,
    number,
    seconds,
    size,
)

COMPRESSIONS = ("none", "j2k", "htj2k", "jpegls", "rle")
DUPLICATES = ("keep", "replace", "reject")
LOG_LEVELS = ("debug", "info", "warning", "error")
VOLUME_ROLES = ("primary", "replica", "archive")

DEFAULT_VOLUME_NAME = "main"
DEFAULT_VOLUME_PATH = "store"

PERCENTAGE = ValueType("percentage", parse_percentage)

_KIB, _MIB, _GIB, _TIB = 1024, 1024**2, 1024**3, 1024**4


@dataclass(frozen=True, slots=True)
class Option:
    """One option.

    Parameters
    ----------
    section : str
        Section, or kind of section.
    name : str
        Name; units come last (``acse_timeout_s``).
    type : ValueType
        How its value is read.
    default : str or None
        As it would be written in the file. None: there is no value unless one is given.
    help : str
        One sentence for people.
    unit : str
        Unit of the number; empty if it has none.
    required : bool
        Whether a section without it is a mistake.
    """

    section: str
    name: str
    type: ValueType
    default: str | None
    help: str
    unit: str = ""
    required: bool = False


OPTIONS: tuple[Option, ...] = (
    Option(
        "node",
        "ae_title",
        AE_TITLE,
        "MEDSERVER",
        "The AE title of this node; others must call it by this name.",
    ),
    Option(
        "node",
        "address",
        HOST,
        "127.0.0.1",
        "Where the node listens: an address of this machine, 0.0.0.0 or ::.",
    ),
    Option(
        "node",
        "port",
        integer_or_none(0, 65535),
        "11112",
        "TCP port of connections in the clear; 0 lets the operating system choose one, none accepts TLS alone.",
    ),
    Option(
        "node",
        "processes",
        PROCESSES,
        "auto",
        "Processes that accept associations; auto is one for each core.",
    ),
    Option("node", "data", PATH, "./data", "Where the relative paths of [index], [volume] and [tls] start."),
    Option(
        "node",
        "tls_port",
        integer_or_none(0, 65535),
        "none",
        "TCP port of connections over TLS, by custom 2762; 0 lets the operating system choose one.",
    ),
    Option(
        "node",
        "proxies",
        NETWORKS,
        "",
        "TCP balancers in front of the node: addresses and networks whose connections begin with a header of the PROXY "
        "protocol (version 2), which says who calls.",
    ),
    Option(
        "index",
        "url",
        INDEX_URL,
        "sqlite:///index.db",
        "The database: sqlite:///FILE or postgresql://USER@HOST/NAME.",
    ),
    Option(
        "jobs",
        "workers",
        integer(0, 64),
        "1",
        "Processes that perform jobs; 0 if only `medserver worker` elsewhere does.",
    ),
    Option(
        "jobs",
        "threads",
        integer(1, 64),
        "4",
        "Batches of jobs that each of them performs at a time, besides those for AEs.",
    ),
    Option(
        "jobs",
        "url",
        JOBS_URL,
        "index",
        "What carries the messages that wake workers: index is its database, else redis://HOST:PORT/NUMBER.",
    ),
    Option(
        "store",
        "duplicates",
        choice(*DUPLICATES),
        "keep",
        "What happens to a SOP Instance that is received again with other bytes: the first stays current and the "
        "second is a duplicate, the second is current and the first a duplicate, or the second is refused.",
    ),
    Option(
        "store",
        "commitment_copies",
        integer(1, 16),
        "1",
        "Copies of an instance that must be read and found intact before storage commitment is given for it.",
    ),
    Option(
        "store",
        "copies_before_success",
        integer(1, 16),
        "1",
        "How many verified copies of an object there are before its reception is answered with success: that of the "
        "primary volume, and those of replicas.",
    ),
    Option(
        "store",
        "verify_interval",
        duration(60, 100 * 366 * 86_400),
        "30 d",
        "How long a copy goes unread: after that it is read and compared with its digest; in s, min, h or d.",
    ),
    Option(
        "store",
        "verify_rate_max_mb_per_s",
        integer(1, 1_000_000),
        "50",
        "How fast copies are read for that, for each volume, in MB/s.",
        "mb_per_s",
    ),
    Option(
        "store",
        "transfer_syntaxes",
        TRANSFER_SYNTAX_LIST,
        "",
        "What is chosen of the transfer syntaxes that a sender proposes in one presentation context, the best first; "
        "names as in [ae] transfer_syntaxes. Of the others, uncompressed comes first, then the order of the sender.",
    ),
    Option(
        "store",
        "compress",
        choice(*COMPRESSIONS),
        "none",
        "What uncompressed images are compressed to, without loss, some time after they were received. An original is "
        "removed when its compressed form lies on every volume that has the original, and has the same pixels.",
    ),
    Option(
        "store",
        "transcoded_max_bytes",
        size(0, 1024 * _TIB),
        "1 GiB",
        "How much of what was transcoded to be sent is kept, those that were sent last; 0 keeps nothing.",
        "bytes",
    ),
    Option(
        "backup",
        "interval",
        duration_or_never(60, 366 * 86_400),
        "1 d",
        "How often the index is copied to a volume; in s, min, h or d, 0 is never.",
    ),
    Option(
        "backup",
        "volume",
        SECTION_NAME,
        "auto",
        "The volume that gets the backups of the index; auto is the first replica, or the primary if there is none.",
    ),
    Option("backup", "keep", integer(1, 10_000), "14", "How many backups are kept; the oldest beyond are removed."),
    Option(
        "workitems",
        "keep",
        duration(0, 3660 * 86_400),
        "7 d",
        "How long a work item is kept when it is completed or cancelled, and no subscriber has locked it.",
    ),
    Option(
        "workitems",
        "keep_locked",
        duration_or_never(60, 3660 * 86_400),
        "90 d",
        "After which time a lock on such an item is taken away from a subscriber that has not; 0 is never.",
    ),
    Option(
        "workitems",
        "lost_after",
        duration_or_never(60, 366 * 86_400),
        "0",
        "An item of which a remote performer says nothing for so long is cancelled and issued again; 0 is never.",
    ),
    Option(
        "workitems",
        "issued_again_max",
        integer(0, 1000),
        "3",
        "How often what is asked for is issued again at most, when one performer after the other is lost.",
    ),
    Option(
        "workitems",
        "status_to",
        NAME_LIST_OR_NONE,
        "",
        "The [ae NAME] entries that are told when the node starts and stops, besides those that are subscribed.",
    ),
    Option(
        "audit",
        "source",
        TEXT,
        "auto",
        "How audit messages name this node (AuditSourceID); auto is its AE title.",
    ),
    Option("audit", "site", TEXT_OR_NONE, "none", "The site that they name (AuditEnterpriseSiteID), or none."),
    Option(
        "audit",
        "keep",
        duration_or_never(3600, 100 * 366 * 86_400),
        "3650 d",
        "How long audit messages are kept, and not deleted before every repository has them; 0 is for ever.",
    ),
    Option(
        "audit",
        "required",
        YES_OR_NO,
        "no",
        "Whether what cannot be recorded is not done; no: it is done, and the log has an error.",
    ),
    Option(
        "audit",
        "repositories",
        REPOSITORIES,
        "",
        "Where audit messages are sent as well: tls://HOST:6514 or udp://HOST:514, any number of them.",
    ),
    Option(
        "audit",
        "resend",
        duration(0, 86_400),
        "10 s",
        "What was sent so shortly before a repository could not be reached is sent again: it may have been lost there.",
    ),
    Option(
        "audit",
        "ca",
        PATH_OR_NONE,
        "none",
        "A file with the certificates that sign those of tls repositories; none: those that the system trusts.",
    ),
    Option(
        "audit",
        "certificate",
        PATH_OR_NONE,
        "none",
        "A file with our certificate, for tls repositories that ask for one.",
    ),
    Option("audit", "key", PATH_OR_NONE, "none", "A file with its private key, if that is another one."),
    Option("volume", "path", PATH, None, "The directory of the volume; or it has a url."),
    Option(
        "volume",
        "url",
        BUCKET_URL,
        None,
        "The S3-compatible bucket of the volume: s3://BUCKET or s3://BUCKET/PREFIX. The primary is a directory.",
    ),
    Option("volume", "endpoint", ENDPOINT_URL, None, "The URL of the S3 service, if it is not that of AWS."),
    Option("volume", "region", TOKEN, None, "The region of the bucket."),
    Option(
        "volume",
        "credentials",
        PATH,
        None,
        "A file in the form of ~/.aws/credentials, if AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not in the "
        "environment.",
    ),
    Option(
        "volume",
        "role",
        choice(*VOLUME_ROLES),
        "primary",
        "What the volume is for: new objects go to the primary, and every one is copied to each replica and archive; "
        "objects are read from the primary, else from a replica, else from an archive.",
    ),
    Option(
        "volume",
        "free_min_bytes",
        size(0, 1024 * _TIB),
        "256 MiB",
        "Space that the volume leaves free on its disk, for the index and others: objects that would take of it "
        "are refused.",
        "bytes",
    ),
    Option("limits", "associations_max", integer(1, 100_000), "500", "Associations in all."),
    Option(
        "limits", "associations_per_address_max", integer(1, 100_000), "100", "Associations from one address."
    ),
    Option(
        "limits",
        "associations_per_ae_max",
        integer(1, 100_000),
        "100",
        "Associations of one calling AE title.",
    ),
    Option(
        "limits",
        "associations_per_minute_per_address_max",
        integer(0, 10**9),
        "10000",
        "Associations from one address that begin within a minute; 0 is without limit.",
    ),
    Option(
        "limits",
        "waiting_max",
        integer(1, 100_000),
        "64",
        "Connections that have not yet requested an association.",
    ),
    Option(
        "limits", "connection_timeout_s", seconds(0.1, 3600), "10", "To open a connection to another AE.", "s"
    ),
    Option(
        "limits", "acse_timeout_s", seconds(0.1, 3600), "30", "For each step of association control.", "s"
    ),
    Option(
        "limits",
        "dimse_timeout_s",
        seconds(0.1, 86400),
        "60",
        "For the answer of another AE to a request.",
        "s",
    ),
    Option(
        "limits",
        "network_timeout_s",
        seconds(0.1, 86400),
        "60",
        "For a peer that neither sends nor reads.",
        "s",
    ),
    Option(
        "limits",
        "pdu_size_max_bytes",
        size(4 * _KIB, 16 * _MIB),
        "131072",
        "Longest PDU, announced and enforced.",
        "bytes",
    ),
    Option(
        "limits",
        "command_set_size_max_bytes",
        size(1 * _KIB, 1 * _MIB),
        "4096",
        "Longest command set.",
        "bytes",
    ),
    Option(
        "limits",
        "identifier_size_max_bytes",
        size(4 * _KIB, 1 * _GIB),
        "1 MiB",
        "Longest identifier of a query.",
        "bytes",
    ),
    Option(
        "limits", "object_size_max_bytes", size(1 * _KIB, 1024 * _TIB), "16 GiB", "Longest object.", "bytes"
    ),
    Option(
        "limits",
        "query_results_max",
        integer(0, 10**9),
        "0",
        "Matches that a query answers; 0 is without limit.",
    ),
    Option(
        "limits",
        "commitment_references_max",
        integer(1, 1_000_000),
        "50000",
        "Instances that one request for storage commitment may name.",
    ),
    Option(
        "limits",
        "commitments_pending_max",
        integer(1, 1_000_000),
        "1000",
        "Requests for storage commitment of one AE that have not been reported on.",
    ),
    Option(
        "limits",
        "processing_memory_max_bytes",
        size(64 * _MIB, _TIB),
        "3 GiB",
        "Memory that the processing of one work item may use in a process.",
        "bytes",
    ),
    Option(
        "limits",
        "processing_time_max_s",
        seconds(1, 7 * 86_400),
        "3600",
        "CPU time that the processing of one work item may use in a process.",
        "s",
    ),
    Option(
        "mail",
        "server",
        HOST_AND_PORT_OR_NONE,
        "none",
        "The mail server that takes messages for those who are informed by mail: host:port, 25 without a port.",
    ),
    Option("mail", "sender", TEXT, "medserver@localhost", "The address that these messages are from."),
    Option(
        "tls",
        "certificate",
        PATH_OR_NONE,
        "none",
        "The certificate of the node, and those between it and its CA: a PEM file, relative to [node] data.",
    ),
    Option("tls", "key", PATH_OR_NONE, "none", "Its private key: a PEM file that nobody else can read (mode 0600)."),
    Option(
        "tls",
        "ca",
        PATH_OR_NONE,
        "none",
        "Certificates of the CAs that sign for remote AEs whose entry has no 'ca': a PEM file. Such an entry says by "
        "'certificates' which of them are its own.",
    ),
    Option("tls", "crl", PATH_OR_NONE, "none", "Which certificates are revoked: a file with CRLs, PEM."),
    Option(
        "tls",
        "expiry_warning",
        duration(0, 366 * 86_400),
        "30 d",
        "How long before a certificate expires that is said in the log; in s, min, h or d.",
    ),
    Option("web", "enabled", YES_OR_NO, "no", "Whether DICOMweb is served over HTTP; it needs medserver[web]."),
    Option("web", "address", HOST, "127.0.0.1", "Where HTTP is listened for: an address of this machine."),
    Option("web", "port", integer(0, 65535), "8080", "TCP port of HTTP; 0 lets the operating system choose one."),
    Option("web", "processes", PROCESSES, "auto", "Processes that serve HTTP; auto is one for each core."),
    Option("web", "certificate", PATH_OR_NONE, "none", "For HTTPS: a PEM file, below data; with 'key'."),
    Option("web", "key", PATH_OR_NONE, "none", "The private key of the certificate."),
    Option("log", "level", choice(*LOG_LEVELS), "info", "The least important events that are logged."),
    Option("ae", "ae_title", AE_TITLE, None, "Its AE title, if it is not the name of the section."),
    Option(
        "ae",
        "address",
        HOST_AND_PORT,
        None,
        "Where it is called: host:port; a host alone if it only calls us.",
    ),
    Option(
        "ae",
        "sources",
        NETWORKS,
        None,
        "Where it calls from, if not from its address: addresses and networks.",
    ),
    Option("ae", "allow", SERVICE_LIST, "", f"The services that it may use: {', '.join(SERVICES)}."),
    Option(
        "ae", "private_sop_classes", UIDS, "", "Storage SOP classes outside the standard that it may send."
    ),
    Option(
        "ae",
        "ingest_transfer_syntax",
        choice(*COMPRESSIONS),
        None,
        "As [store] compress, for what this AE sends; without it, that of [store] applies.",
    ),
    Option(
        "ae",
        "transfer_syntaxes",
        TRANSFER_SYNTAX_LIST,
        "",
        "What it is sent, the best first: explicit, implicit, big-endian, deflated, j2k, htj2k, jpegls, rle, or "
        "keywords and UIDs. What it accepts decides. Without any, instances go out as they are stored, else "
        "uncompressed.",
    ),
    Option(
        "ae",
        "must_commit",
        YES_OR_NO,
        "no",
        "Whether what a rule sends it counts as delivered only when it has committed to keep it (storage commitment); "
        "it may have to be allowed 'commit', to report to this node.",
    ),
    Option(
        "ae",
        "send_associations",
        integer(1, 16),
        "1",
        "Over how many associations at a time rules send to it; the instances of a study stay on one, in their order.",
    ),
    Option(
        "ae",
        "send_rate_max_mb_per_s",
        number(0, 100_000),
        "0",
        "How fast rules send to it at most, over all its associations, in MB/s; 0 is without limit.",
        "mb_per_s",
    ),
    Option(
        "ae",
        "inform",
        ValueType(INFORM_NAMES, parse_inform),
        "none",
        "How it is told by which type images are to be processed that it has sent, or gets the results of: ups-event "
        "(it is subscribed to the work item), the URL of a webhook, or a mail address.",
    ),
    Option(
        "ae",
        "tls",
        choice(*LEVELS),
        "no",
        "Whether it calls over TLS: accepted is over TLS or in the clear; required is over TLS alone, and it is also "
        "called so.",
    ),
    Option(
        "ae",
        "certificates",
        CERTIFICATES,
        "",
        "By which certificates it is recognised: sha256:... of the public key of one (SubjectPublicKeyInfo), several "
        "while one is replaced; or cn:NAME and dns:NAME, names in a certificate that 'ca' has signed.",
    ),
    Option(
        "ae",
        "ca",
        PATH,
        None,
        "Certificates of the CAs that sign for it: a PEM file. Without a name in 'certificates' everybody whom they "
        "sign for is this AE. Without it, [tls] ca.",
    ),
    Option("ae", "own_certificate", PATH, None, "What we show it when we call it, in place of [tls] certificate."),
    Option("ae", "own_key", PATH, None, "The private key of own_certificate."),
    Option(
        "ae",
        "identity",
        choice(*IDENTITIES),
        "none",
        "Whether it has to name a user (User Identity Negotiation): what a user may do is what the entry allows and "
        "a role of the user includes.",
    ),
    Option("ae", "users", USERS, "", "The users that it may name; without any, every one that is known here."),
    Option("ae", "user", TEXT, None, "The user that is named to it."),
    Option("ae", "passcode_file", PATH, None, "The file with the passcode of that user; sent over TLS alone."),
    Option("ae", "token_file", PATH, None, "The file with a JSON Web Token for it, in place of 'user'."),
    Option("issuer", "issuer", TEXT, None, "Who makes the JSON Web Tokens: their claim 'iss'.", required=True),
    Option("issuer", "audience", TEXT, None, "For whom: what their claim 'aud' must contain.", required=True),
    Option("issuer", "algorithms", SIGNATURES, "RS256 ES256", "The signatures that are accepted."),
    Option("issuer", "keys", PATHS, None, "Files with a public key each, in PEM.", required=True),
    Option("issuer", "subject_claim", TOKEN, "sub", "The claim that names the user."),
    Option("issuer", "roles_claim", TOKEN, "roles", "The claim with the roles of the user; others are passed over."),
    Option("issuer", "roles", choices(*ROLES), "", "The roles that all its users have."),
    Option("issuer", "leeway_s", integer(0, 3600), "60", "How far the clocks may be apart.", "s"),
    Option(
        "route",
        "to",
        NAME_LIST,
        None,
        "The [ae NAME] entries to which instances are sent. Which: options that are named as attributes are "
        "(Modality, StudyDate and so on), with a value as in a C-FIND; all of them must match.",
    ),
    Option(
        "route",
        "printer",
        SECTION_NAME,
        None,
        "The [printer NAME] that prints them, in place of 'to': the images of a series are printed together when it is "
        "complete, with 'when' those of a study, or each for itself. How: options with the names of format information "
        "(layout, film_size, copies), see 'medserver manual printing'.",
    ),
    Option("route", CALLING_AE_TITLE, TEXT, None, "Only what this AE has sent; wild cards are possible."),
    Option(
        "route",
        "send",
        choice(*SENDS),
        "instances",
        "What is sent: the instances; only the conditions of their acquisition, which are performed procedure "
        "protocols and performed procedure steps (MPPS); both; or only the news that they are available here.",
    ),
    Option(
        "route",
        "transfer_syntaxes",
        TRANSFER_SYNTAX_LIST,
        "",
        "What is sent, the best first, as in [ae] transfer_syntaxes; without any, what the destination's entry says.",
    ),
    Option(
        "route",
        "priority",
        choice(*ROUTE_PRIORITIES),
        "medium",
        "What is sent first if several instances wait for one destination.",
    ),
    Option(
        "route",
        "when",
        choice(*MOMENTS),
        "instance",
        "Whether each instance is sent at once, or when nothing of its series or study has been received for a while; "
        "what is received later is sent then.",
    ),
    Option("route", "quiet", duration(0.1, 86_400), "1 min", "For how long; in s, min, h or d."),
    Option(
        "route",
        "complete_by",
        choices(*EVIDENCE),
        "",
        "What says earlier that a study is complete: mpps (its performed procedure steps are final, and what they name "
        "has been received), commitment (the sender asks for it), count (the sender answers a C-FIND with no more "
        "instances than have been received), association (the sender ends it).",
    ),
    Option(
        "route",
        "set",
        CHANGES["set"],
        "",
        "Attributes that are sent with another value, 'Keyword = value' in a line each; what they were is sent along "
        "in the Original Attributes Sequence.",
    ),
    Option("route", "remove", CHANGES["remove"], "", "Attributes that are not sent, with commas between them."),
    Option(
        "route", "map", CHANGES["map"], "", "Values that are sent as others, 'Keyword = old -> new' in a line each."
    ),
    Option("route", "hours", HOURS, "0-24", "Between which hours of the day it is sent, local time: 20-6 is at night."),
    Option(
        "processing",
        "type",
        TYPE_LIST,
        None,
        "The type of processing, see 'medserver processing types'; with commas, each one is applied to what the one "
        "before has made. Its parameters are options too (size = 3; denoise.size = 3 where several types have one). "
        "Which images: options that are named as attributes are, as in [route].",
        required=True,
    ),
    Option("processing", CALLING_AE_TITLE, TEXT, None, "Only what this AE has sent; wild cards are possible."),
    Option(
        "processing",
        "delivered_to",
        NAME_LIST,
        None,
        "Only what a [route NAME] sends to one of these [ae NAME] entries.",
    ),
    Option(
        "processing",
        "to",
        NAME_LIST,
        None,
        "The [ae NAME] entries to which the results are sent; sender is the AE that has sent the images. Without any, "
        "results are stored only.",
    ),
    Option("processing", "priority", choice(*ROUTE_PRIORITIES), "medium", "What is processed first if several wait."),
    Option(
        "processing",
        "when",
        choice(*MOMENTS),
        "series",
        "Whether each instance is processed alone, or a series or study when nothing of it has been received for a "
        "while.",
    ),
    Option("processing", "quiet", duration(0.1, 86_400), "1 min", "For how long; in s, min, h or d."),
    Option("processing", "complete_by", choices(*EVIDENCE), "", "What says so earlier, as in [route]."),
    Option("processing", "hours", HOURS, "0-24", "Between which hours of the day, local time: 20-6 is at night."),
    Option(
        "processing",
        "inform",
        YES_OR_NO,
        "yes",
        "Whether the sender and those who get the results are told the type before it is applied, see [ae] inform.",
    ),
    Option(
        "type",
        "command",
        COMMAND,
        "",
        "The program that makes the results, /path/program ARGUMENTS, without a shell; {in} and {out} in an argument "
        "are its folders. With an image: what is started in the container, if it is not what the image says.",
    ),
    Option("type", "image", IMAGE, None, "The image of a container in which it runs, without a network."),
    Option("type", "engine", choice(*ENGINES), "auto", "What runs containers; auto is podman, else docker."),
    Option(
        "type",
        "engine_options",
        COMMAND,
        "",
        "Further options of 'podman run' or 'docker run': --device nvidia.com/gpu=all, -v /models:/models:ro.",
    ),
    Option("type", "meaning", TEXT, None, "What it does, in words: the meaning of its code; else its name."),
    Option("type", "makes", TEXT, None, "What it makes, in words."),
    Option("type", "version", TEXT, "1", "Another one once the same request gives other results."),
    Option("type", "scope", choice(*SCOPES), "series", "What it is given together."),
    Option("type", "modalities", NAME_LIST, None, "What it is given: objects of these modalities; without any, all."),
    Option(
        "type",
        "parameters",
        PARAMETERS,
        "",
        "What can be said of how it works: 'name = default' in a line each, or JSON with kind (text, integer, number, "
        "choice), meaning, unit, default, minimum, maximum, choices of each.",
    ),
    Option("type", "environment", ENVIRONMENT, "", "Further environment variables, 'NAME = value' in a line each."),
    Option(
        "type",
        "memory_max_bytes",
        size(16 * _MIB, _TIB),
        "4 GiB",
        "Address space of each of its processes, or memory of its container.",
        "bytes",
    ),
    Option("type", "time_max_s", seconds(0.1, 7 * 86_400), "3600", "How long it may run; then it is killed.", "s"),
    Option("type", "cpus", integer(1, 1024), "1", "On how many processors it runs."),
    Option("type", "files_max", integer(1, 100_000), "20000", "How many files it may write."),
    Option("type", "output_max_bytes", size(1 * _KIB, _TIB), "16 GiB", "How much it may write.", "bytes"),
    Option(
        "type",
        "new_uids",
        YES_OR_NO,
        "no",
        "Whether what it makes gets new UIDs, and says what it was made of: for programs that change a copy of what "
        "they are given. Without it such results are refused.",
    ),
    Option(
        "printer",
        "output",
        choice(*OUTPUTS),
        None,
        "What becomes of its films: PDF files in a folder, jobs of a printer or print server (IPP), or films of an "
        "imager (DICOM).",
        required=True,
    ),
    Option("printer", "ae_title", AE_TITLE, None, "Who calls this node by this AE title prints on this printer."),
    Option("printer", "folder", PATH, None, "Where PDF files go; with output = pdf."),
    Option(
        "printer",
        "url",
        PRINTER_URL,
        None,
        "Where the printer is, ipp://host:631/ipp/print, or cups:NAME, a queue of the CUPS of this machine; with "
        "output = ipp.",
    ),
    Option("printer", "destination", SECTION_NAME, None, "The [ae NAME] entry of the imager; with output = dicom."),
    Option("printer", "media", MEDIA, "14INX17IN", "What it prints on, by Film Size IDs; the first is the default."),
    Option("printer", "colour", YES_OR_NO, "yes", "Whether it prints colours."),
    Option("printer", "bits", choice("8", "12"), "12", "How many bits of gray an imager gets; with output = dicom."),
    Option(
        "printer",
        "attributes",
        ATTRIBUTES,
        None,
        "The optional attributes that an imager gets, by their keywords, or 'none'; without it all that a film has. "
        "Some imagers refuse a film for one that they do not know.",
    ),
    Option("printer", "resolution_dpi", integer(50, 2400), "300", "What pages are rendered for.", "dpi"),
    Option(
        "printer",
        "curve",
        PATH,
        None,
        "Its characteristics curve, a file of 'medserver printer calibrate'; without one every sheet says that "
        "the printer is not calibrated.",
    ),
    Option("printer", "substitute", SECTION_NAME, None, "The [printer NAME] that prints while this one cannot."),
    Option(
        "printer",
        "clients",
        NAME_LIST,
        None,
        "The [ae NAME] entries that may print on it; without any, all with 'print' in their allow.",
    ),
    Option("printer", "films_max", integer(1, 100_000), "500", "How many films may wait for it."),
    Option("printer", "copies_max", integer(1, 1000), "20", "How many copies of a film may be asked for."),
    Option(
        "printer",
        "forget",
        YES_OR_NO,
        "yes",
        "Whether images that were fetched from another AE to be printed on it are deleted when they have been.",
    ),
    Option(
        "printer", "keep", duration(0, 366 * 86_400), "1 d", "How long films are kept after that; in s, min, h or d."
    ),
    Option(
        "poll",
        "source",
        SECTION_NAME,
        None,
        "The [ae NAME] entry that is asked what it has. Options that are named as attributes are (ModalitiesInStudy, "
        "PatientID and so on) are keys of the query, at STUDY level.",
        required=True,
    ),
    Option("poll", "every", duration(1, 30 * 86_400), "15 min", "From one time to the next; in s, min, h or d."),
    Option("poll", "days_back", integer(0, 36_500), "1", "How many days ago a study may have been made; 0 is today."),
    Option("poll", "hours", HOURS, "0-24", "Between which hours of the day, local time: 20-6 is at night."),
    Option(
        "poll",
        "retrieve",
        choice(*RETRIEVALS),
        "get",
        "How instances are fetched: by C-GET, or by C-MOVE to this node, whose address the AE then has to know.",
    ),
    Option("poll", "instances_max", integer(0, 10**9), "0", "Instances that are fetched at a time; 0: no limit."),
    Option(
        "retention",
        "age",
        duration(0, 100 * 366 * 86_400),
        None,
        "How long ago all instances of a study must have been received, and delivered if the rule wants that; in s, "
        "min, h or d. Which studies: options that are named as attributes are, as in [route]; all instances match.",
        required=True,
    ),
    Option(
        "retention",
        "after",
        ValueType(f"{' | '.join(PROOFS)}, with 'and' or 'or'", parse_after),
        None,
        "What must be known before anything is deleted: the AEs of 'to' have taken it (delivered), have committed to "
        "keep it (committed), or a replica or an archive has a good copy (archived).",
        required=True,
    ),
    Option("retention", "to", NAME_LIST, None, "The [ae NAME] entries that must have it: each of them."),
    Option("retention", CALLING_AE_TITLE, TEXT, None, "Only what this AE has sent; wild cards are possible."),
    Option(
        "retention",
        "volume",
        SECTION_NAME,
        None,
        "The volume that fills: with watermark.",
    ),
    Option(
        "retention",
        "watermark",
        PERCENTAGE,
        None,
        "Nothing is deleted before more than this of the volume is taken, such as 80 %; then the oldest studies are.",
    ),
    Option("retention", "until", PERCENTAGE, None, "How much of it may be taken when that ends, such as 70 %."),
    Option(
        "retention",
        "last_copy",
        choice(*LAST_COPY),
        "keep",
        "keep: only the copies on the primary volume are removed, of what has a good copy on another one. delete: the "
        "studies are deleted, with every copy on every volume.",
    ),
    Option(
        "retention",
        "dry_run",
        YES_OR_NO,
        "yes",
        "Whether nothing is deleted but by 'medserver retention run NAME --really'.",
    ),
)

SECTIONS = tuple(dict.fromkeys(option.section for option in OPTIONS))
NAMED_SECTIONS = ("volume", "ae", "issuer", "route", "processing", "type", "printer", "poll", "retention")
"""[ae NAME] and so on."""
KEYED_SECTIONS = ("route", "processing", "poll", "retention")
"""Those with options that are named as attributes are."""


def options_of(section: str) -> dict[str, Option]:
    """Return the options of a section (or kind of section) by name, in the order of the table."""
    return {option.name: option for option in OPTIONS if option.section == section}

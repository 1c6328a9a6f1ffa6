"""The back office's tables. Amounts are integer minor units, times u32 seconds since 1970 UTC.

Three sorts of table: evidence (`slots`, `quarantine`, `card_records`: what arrived, never changed), facts (`intents`
and what a terminal or a card said of each), and books (`posting_sets`, `postings`, `slips`: projections of the facts,
which `rules.project` makes again at any time). Keys are natural: the same upload twice meets its own rows.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    text,
)

VERSION = 6
STEPS: dict[int, tuple[str, ...]] = {  # what makes the next layout of one, before the new tables are made
    1: (),
    2: (
        "ALTER TABLE intents ADD COLUMN account BIGINT NOT NULL DEFAULT 0",
        "ALTER TABLE intents ADD COLUMN contact BIGINT NOT NULL DEFAULT 0",
        "ALTER TABLE intents ADD COLUMN uncovered BIGINT NOT NULL DEFAULT 0",
        "ALTER TABLE intents ADD COLUMN borne_by_merchant BIGINT NOT NULL DEFAULT 0",
        "ALTER TABLE slips ADD COLUMN account BIGINT NOT NULL DEFAULT 0",
    ),
    3: ("ALTER TABLE accounts ADD COLUMN at_host BIGINT NOT NULL DEFAULT 0",),
    4: ("ALTER TABLE accounts ADD COLUMN offline_limit BIGINT NOT NULL DEFAULT 10000",),
    5: (
        "ALTER TABLE intents ADD COLUMN whole BIGINT NOT NULL DEFAULT 0",
        "ALTER TABLE intents ADD COLUMN first_slip BIGINT NOT NULL DEFAULT 0",
        "ALTER TABLE slips ADD COLUMN whole BIGINT NOT NULL DEFAULT 0",
        "ALTER TABLE slips ADD COLUMN first_slip BIGINT NOT NULL DEFAULT 0",
    ),
}

metadata = MetaData()
_Number = BigInteger().with_variant(Integer(), "sqlite")


def _number(name: str, **options) -> Column:
    return Column(name, _Number, nullable=options.pop("nullable", False), **options)


def _word(name: str, **options) -> Column:
    return Column(name, Text, nullable=False, **options)


def _entry_key() -> list[Column]:
    return [_number("terminal", primary_key=True), _number("journal_id", primary_key=True)]


layout = Table("layout", metadata, _number("version", primary_key=True, autoincrement=False))

terminals = Table(
    "terminals",
    metadata,
    _number("number", primary_key=True, autoincrement=False),
    _word("name"),
    _word("merchant"),
    _number("journal_id"),  # the journal of its latest provisioning
    _word("certificate_sha256", default=""),  # of the client certificate that counts; empty: any that the CA signed
    _number("enrolled_at"),
    _number("last_contact", nullable=True),
)

journals = Table(
    "journals",
    metadata,
    *_entry_key(),
    _number("provisioning_counter"),
    Column("verifier", LargeBinary, nullable=False),  # state of kassette_host.journal.Verifier after the newest slot
    _number("head_serial"),
    Column("head_tag", LargeBinary, nullable=False),
    _number("head_time"),  # of the newest record, by the terminal's clock
    _number("acked_serial"),
    _number("slots"),
    ForeignKeyConstraint(["terminal"], ["terminals.number"]),
)

slots = Table(
    "slots",
    metadata,
    *_entry_key(),
    _number("position", primary_key=True),  # sector sequence * 32 + slot within the sector
    _number("serial", nullable=True),  # none: a sector header
    _number("kind"),
    Column("raw", LargeBinary, nullable=False),
    Column("tag", LargeBinary, nullable=False),
    _number("time"),
    Column("clock_trusted", Boolean, nullable=False),
    _number("slip", nullable=True),
    _word("facts"),  # JSON of the decoded payload, without the card's number
    _number("received_at"),
    UniqueConstraint("terminal", "journal_id", "serial"),
    Index("slots_of_slip", "terminal", "journal_id", "slip"),
)

quarantine = Table(
    "quarantine",
    metadata,
    _number("terminal", primary_key=True),
    _word("sha256", primary_key=True),
    _number("journal_id"),
    _word("reason"),
    _number("first_serial"),
    _number("last_serial"),
    Column("slots", LargeBinary, nullable=False),
    _number("received_at"),
)

cards = Table(
    "cards",
    metadata,
    _number("id", primary_key=True),
    _number("number", index=True),  # never leaves the database: people see the last four digits
    _word("uid", unique=True),  # 14 hex digits
    _word("state"),  # issuing | active | unknown (seen at a terminal, not issued here)
    _number("class"),
    _number("level"),
    _number("key_version"),
    _number("currency"),
    _number("expiry"),
    _number("issued_at"),
)

card_records = Table(
    "card_records",
    metadata,
    _number("card", primary_key=True),
    _number("sequence", primary_key=True),
    _word("digest", primary_key=True),  # of what the record says: two rows for one sequence are two histories
    _number("type"),  # 0 personalisation, 1 debit, 2 credit
    _number("terminal"),
    _number("journal_id"),
    _number("serial"),  # of the intent; of the credit order when terminal and journal id are 0
    _number("amount"),
    _number("balance_after"),
    _word("tag5"),  # first five bytes of the intent's tag, 10 hex digits: the card as a witness of the journal
    Column("is_read", Boolean, nullable=False),  # read back from the card, not only claimed by who wrote it
    _word("source"),  # who reported it first
    Index("card_records_entry", "terminal", "journal_id", "serial"),
)

intents = Table(
    "intents",
    metadata,
    *_entry_key(),
    _number("serial", primary_key=True),
    _number("slip", nullable=True),  # none: known from a card only, the terminal's record is not here yet
    _number("attempt"),
    _number("card"),
    _number("amount"),
    _number("currency"),
    Column("bookable", Boolean, nullable=False),  # an amount above nothing in the ledger's currency
    _number("balance_before"),
    _number("sequence_before"),
    _number("time"),
    Column("clock_trusted", Boolean, nullable=False),
    Column("tag", LargeBinary, nullable=False),  # empty: as above
    _word("said"),  # the terminal's last word: open, unresolved, committed, not_debited, nothing, absent
    Column("said_late", Boolean, nullable=False),
    _number("reason"),  # error code of not_debited and unresolved, else 0
    _word("decision"),  # the cashier's: none, given, abandoned
    _word("proof"),  # what the card says: none, debited, not_debited
    _word("proof_source"),
    # Of a sale on an account: `card` is 0, and what there is instead.
    _number("account", server_default="0"),
    _number("contact", server_default="0"),  # when its terminal had last heard of the back office
    _number("uncovered", server_default="0"),  # what the account could not pay; of it:
    _number("borne_by_merchant", server_default="0"),
    # Of a part of a sale that is split over two media:
    _number("whole", server_default="0"),  # what both parts come to; 0: not split
    _number("first_slip", server_default="0"),  # of the second part: the slip of the first
    Index("intents_account", "account", "time"),
    Index("intents_slip", "terminal", "journal_id", "slip"),
    Index("intents_card", "card", "sequence_before"),
)

slips = Table(
    "slips",
    metadata,
    *_entry_key(),
    _number("slip", primary_key=True),
    _word("outcome"),
    _number("amount"),
    _number("card"),  # 0: paid from an account
    _number("account", server_default="0"),
    _number("intent"),  # serial of the attempt that decided the outcome
    _number("whole", server_default="0"),
    _number("first_slip", server_default="0"),
    _number("time"),
    Column("clock_trusted", Boolean, nullable=False),
    _number("changed_at"),
    Index("slips_outcome", "outcome"),
    Index("slips_card", "card"),
    Index("slips_intent", "terminal", "journal_id", "intent"),
)

posting_sets = Table(
    "posting_sets",
    metadata,
    _word("source", primary_key=True),  # entry:<terminal>:<journal id>:<serial> or order:<number>
    _number("step", primary_key=True),
    _word("reason"),
    _number("posted_at"),
)

postings = Table(
    "postings",
    metadata,
    _word("source", primary_key=True),
    _number("step", primary_key=True),
    _word("account", primary_key=True),
    _number("owner", primary_key=True),  # card or terminal; 0 for the accounts of the house
    _number("amount"),  # debit positive, credit negative; each set sums to zero
    ForeignKeyConstraint(["source", "step"], ["posting_sets.source", "posting_sets.step"]),
    Index("postings_account", "account", "owner"),
)

credit_orders = Table(
    "credit_orders",
    metadata,
    _number("number", primary_key=True, autoincrement=False),  # stands in the card's record as its serial
    _number("card"),
    _word("kind"),  # opening, top_up
    _number("amount"),
    _number("sequence_before"),  # of the card's newest record when the order was placed
    _word("state"),  # open, done, withdrawn (the card proves that it never took place)
    _word("operator"),
    _number("ordered_at"),
    _number("done_at", nullable=True),
    Index("credit_orders_card", "card"),
    # One open order for each card: what became of the last one is known before the next.
    Index(
        "credit_orders_open",
        "card",
        unique=True,
        sqlite_where=text("state = 'open'"),
        postgresql_where=text("state = 'open'"),
    ),
)

accounts = Table(
    "accounts",
    metadata,
    _number("id", primary_key=True),
    _word("lookup", unique=True),  # keyed hash of the number
    Column("sealed", LargeBinary, nullable=False),  # the number under the account key
    _number("last4"),
    _word("state"),  # active | frozen | expired | replaced
    _word("replaced_by"),  # card:<id>, or nothing
    _number("sequence"),  # of the stripe that is valid
    _number("expiry"),
    _number("balance"),  # projection of the ledger
    _number("floor"),  # the lowest balance that an online sale may leave: 0, or below it an overdraft
    _number("day_limit"),  # of sales a business day, 0 for none
    Column("pin_verifier", LargeBinary, nullable=False),  # empty: it has no PIN
    _number("pin_failures"),  # in a row
    _number("opened_at"),
    _number("at_host", server_default="0"),  # 1: an issuer's host keeps the money
    _number("offline_limit", server_default="10000"),  # of a terminal's sales between two contacts, without asking
)

host_sales = Table(
    "host_sales",
    metadata,
    *_entry_key(),
    _number("serial", primary_key=True),
    _number("account"),
    _number("amount"),
    _word("digest"),  # of the question, as in authorisations
    _word("state"),  # see host_sales.py
    _number("trace", unique=True),  # names the sale to the host
    _number("tries"),  # messages that were not answered, in this state
    _number("asked_at"),
    Index("host_sales_state", "state"),
)

account_credits = Table(
    "account_credits",
    metadata,
    _number("number", primary_key=True, autoincrement=False),
    _number("account", index=True),
    _word("kind"),  # opening, top_up
    _number("amount"),
    _word("operator"),
    _number("booked_at"),
)

authorisations = Table(
    "authorisations",
    metadata,
    *_entry_key(),
    _number("serial", primary_key=True),
    _number("account"),  # 0: unknown
    _number("amount"),
    _word("digest"),  # of what was asked: the same question again gets the same answer
    _number("decision"),  # 0 approved, else an error code
    _number("balance"),  # as answered
    _number("pins_left"),
    _number("answered_at"),
    Index("authorisations_account", "account"),
)

pin_counters = Table(
    "pin_counters",
    metadata,
    _word("key_id", primary_key=True),  # initial key id, 16 hex digits
    _number("counter"),  # the highest that was used
)

allowances = Table(
    "allowances",
    metadata,
    _number("terminal", primary_key=True, autoincrement=False),
    _number("amount"),  # of offline sales on accounts between two contacts
)

mismatches = Table(
    "mismatches",
    metadata,
    _word("key", primary_key=True),
    _word("kind"),
    _number("terminal", nullable=True),
    _number("journal_id", nullable=True),
    _number("serial", nullable=True),
    _number("slip", nullable=True),
    _number("card", nullable=True),
    _word("text"),
    _number("found_at"),
    _number("last_at"),
    _number("times"),
)

audit = Table(
    "audit",
    metadata,
    _number("id", primary_key=True),
    _number("at"),
    _word("actor"),
    _word("action"),
    _word("subject"),
    _word("detail"),
)

"""The tables, and the steps that lead to them from those of earlier versions.

One table holds the things of all kinds: what they are found by stands in columns, the rest is the text of `codec`, so a
new field or kind needs no step. Moments are whole microseconds since 1970. `due_us` is by the world's clock, `ready_us`
by the machine's: null while the clock stands still before it.
"""

from typing import Final

# `{serial}` is how a database spells a number that grows by itself. Steps are only ever added.
STEPS: Final[tuple[tuple[str, ...], ...]] = (
    (
        """CREATE TABLE worlds (
            serial {serial}, client_id TEXT NOT NULL UNIQUE, life BIGINT NOT NULL, merchant TEXT NOT NULL,
            shift_us BIGINT NOT NULL, frozen_us BIGINT, last_event BIGINT NOT NULL, invoices BIGINT NOT NULL DEFAULT 0,
            held_by TEXT, held_frozen INTEGER NOT NULL DEFAULT 0)""",
        """CREATE TABLE things (
            serial {serial}, world TEXT NOT NULL, kind TEXT NOT NULL, key TEXT NOT NULL,
            found_1 TEXT, found_2 TEXT, due_us BIGINT, ready_us BIGINT, claimed_by TEXT, body TEXT NOT NULL,
            UNIQUE (kind, key, world))""",
        "CREATE INDEX things_of_world ON things (world, kind, serial)",
        "CREATE INDEX things_found_1 ON things (world, kind, found_1, serial) WHERE found_1 IS NOT NULL",
        "CREATE INDEX things_found_2 ON things (world, kind, found_2, serial) WHERE found_2 IS NOT NULL",
        """CREATE TABLE events (
            world TEXT NOT NULL, number BIGINT NOT NULL, at_us BIGINT NOT NULL, kind TEXT NOT NULL,
            invoice_id TEXT NOT NULL, facts TEXT NOT NULL, PRIMARY KEY (world, number))""",
        "CREATE INDEX events_of_invoice ON events (world, invoice_id, number)",
    ),
    (
        # Who is alive, so that what a dead one has claimed can be claimed again.
        "CREATE TABLE workers (name TEXT PRIMARY KEY, alive_until_us BIGINT NOT NULL)",
        """CREATE INDEX things_ready ON things (kind, ready_us, serial)
            WHERE ready_us IS NOT NULL AND claimed_by IS NULL""",
        "CREATE INDEX things_due ON things (world, due_us, serial) WHERE due_us IS NOT NULL",
        "CREATE INDEX worlds_held ON worlds (held_by) WHERE held_by IS NOT NULL",
        "CREATE INDEX things_claimed ON things (claimed_by) WHERE claimed_by IS NOT NULL",
    ),
    (
        # What is forgotten together, and what had been forgotten already.
        "ALTER TABLE things ADD COLUMN of_order TEXT",
        "ALTER TABLE things ADD COLUMN under_way INTEGER NOT NULL DEFAULT 0",
        """UPDATE things SET under_way = CASE WHEN due_us IS NULL THEN 0 ELSE 1 END, of_order = CASE kind
            WHEN 'Invoice' THEN key WHEN 'Attempt' THEN found_2
            WHEN 'Token' THEN found_1 WHEN 'Transaction' THEN found_1 WHEN 'Delivery' THEN found_1
            WHEN 'InvoiceLink' THEN found_1 END""",
        """UPDATE things SET of_order = (SELECT token.of_order FROM things AS token
                WHERE token.world = things.world AND token.kind = 'Token'
                AND token.key = CASE things.kind WHEN 'Checkout' THEN things.found_1 ELSE things.found_2 END)
            WHERE kind IN ('Checkout', 'Challenge')""",
        "CREATE INDEX things_of_order ON things (world, of_order, serial, under_way) WHERE of_order IS NOT NULL",
        "ALTER TABLE worlds ADD COLUMN forgotten_transactions BIGINT NOT NULL DEFAULT 0",
        "ALTER TABLE worlds ADD COLUMN forgotten_events BIGINT NOT NULL DEFAULT 0",
        "ALTER TABLE worlds ADD COLUMN forgotten_bodies BIGINT NOT NULL DEFAULT 0",
        "ALTER TABLE worlds ADD COLUMN forgotten_unsent BIGINT NOT NULL DEFAULT 0",
    ),
    (
        # What orders are searched by; for what was written before, the store fills them in.
        "ALTER TABLE things ADD COLUMN state TEXT",
        "ALTER TABLE things ADD COLUMN reason BIGINT",
        "ALTER TABLE things ADD COLUMN words TEXT",
    ),
)

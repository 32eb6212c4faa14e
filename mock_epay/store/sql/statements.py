"""What is said to a database. What each spells in its own way stands in braces."""

from typing import Final

from mock_epay.store.search import NONE

_WORLD: Final = "SELECT merchant, shift_us, frozen_us, last_event, invoices, serial, life, held_by FROM worlds"
_LEFT_HELD: Final = """FROM worlds
    WHERE held_by IS NOT NULL AND NOT EXISTS (SELECT 1 FROM workers WHERE name = held_by)"""
_EVENTS: Final = "SELECT number, at_us, kind, invoice_id, facts FROM events WHERE world = $1"
# Counted in an index alone: the things themselves are many times as long. Few are due, and those are found by that.
_KEPT: Final = """SELECT (SELECT COUNT(*) FROM things WHERE kind = 'Transaction'{of}),
    (SELECT COUNT(*) FROM things WHERE kind = 'Attempt'{of}),
    (SELECT COUNT(*) FROM things WHERE kind || '' = 'Delivery' AND due_us IS NOT NULL{of})"""
# Numbers of events follow one another, so the first and the last tell how many there are.
_TALLY: Final = """SELECT COUNT(*), SUM(forgotten_transactions), SUM(forgotten_events), SUM(forgotten_bodies),
    SUM(forgotten_unsent),
    SUM(last_event + 1 - COALESCE((SELECT MIN(number) FROM events WHERE world = client_id), last_event + 1))
    FROM worlds"""

# Invoices, what is latest of a kind in each, and those in whose order some words stand.
_INVOICES: Final = "SELECT key FROM things AS invoice WHERE world = $1 AND kind = 'Invoice'"
_LATEST: Final = """(SELECT {column} FROM things WHERE world = $1 AND kind = '{kind}' AND found_1 = invoice.key
        ORDER BY serial DESC LIMIT 1)"""
_STATUS, _REASON = (_LATEST.format(column=column, kind="Transaction") for column in ("state", "reason"))
_POSTLINK: Final = _LATEST.format(column="state", kind="Delivery")
_NAMED: Final = """key IN (SELECT of_order FROM things
        WHERE world = $1 AND kind IN ('Invoice', 'Transaction', 'InvoiceLink') AND {place_of}(words, $5) > 0)"""

# Locks are taken in this order: the turn, the row of a world, what is in it.
# A claim, which goes the other way, waits for nothing.
STATEMENTS: Final[dict[str, str]] = {
    "migrating": "{migrating}",
    "merchants": "SELECT merchant FROM worlds ORDER BY serial",
    "world": f"{_WORLD} WHERE client_id = $1",
    "turn": "{turn}",
    "begin_world": """INSERT INTO worlds (client_id, life, merchant, shift_us, last_event) VALUES ($1, 0, $2, 0, 0)
        ON CONFLICT (client_id) DO NOTHING RETURNING serial""",
    "end_world": "SELECT serial FROM worlds WHERE client_id = $1{ending}",
    "begin_anew": """UPDATE worlds SET life = life + 1, merchant = $2, shift_us = 0, frozen_us = NULL, held_by = NULL,
            forgotten_transactions = 0, forgotten_events = 0, forgotten_bodies = 0, forgotten_unsent = 0, invoices = 0
        WHERE client_id = $1""",
    "forget_world": "DELETE FROM worlds WHERE client_id = $1",
    "forget_things": "DELETE FROM things WHERE world = $1",
    "forget_events": "DELETE FROM events WHERE world = $1",
    "change_merchant": "UPDATE worlds SET merchant = $2 WHERE client_id = $1",
    "set_clock": "UPDATE worlds SET shift_us = $2, frozen_us = $3 WHERE client_id = $1",
    "reckon_running": "UPDATE things SET ready_us = due_us - $2 WHERE world = $1 AND due_us IS NOT NULL",
    "reckon_frozen": """UPDATE things SET ready_us = CASE WHEN due_us <= $2 THEN $3 - ($2 - due_us) END
        WHERE world = $1 AND due_us IS NOT NULL""",
    "owner": "SELECT world FROM things WHERE kind = $1 AND key = $2 LIMIT 1",
    "get": "SELECT body FROM things WHERE kind = $1 AND key = $2 AND world = $3",
    "get_each": "SELECT key, body FROM things WHERE kind = $1 AND key {listed} AND world = $3",
    "find_1": "SELECT key, body FROM things WHERE world = $1 AND kind = $2 AND found_1 = $3 ORDER BY serial",
    "find_2": "SELECT key, body FROM things WHERE world = $1 AND kind = $2 AND found_2 = $3 ORDER BY serial",
    # The sign keeps the order of an index, in which they would have to be looked for among all, out of the question.
    "find_each_1": "SELECT key, body FROM things WHERE kind = $3 AND found_1 {listed} AND world = $1 ORDER BY +serial",
    "find_each_2": "SELECT key, body FROM things WHERE kind = $3 AND found_2 {listed} AND world = $1 ORDER BY +serial",
    "all": "SELECT key, body FROM things WHERE world = $1 AND kind = $2 ORDER BY serial",
    "place": "SELECT serial FROM things WHERE kind = $1 AND key = $2 AND world = $3",
    "oldest": "SELECT body FROM things WHERE world = $1 AND kind = $2 AND serial > $3 ORDER BY serial LIMIT $4",
    "newest": "SELECT body FROM things WHERE world = $1 AND kind = $2 AND serial < $3 ORDER BY serial DESC LIMIT $4",
    "search": f"""{_INVOICES} AND ($2 = '' OR COALESCE({_STATUS}, '{NONE}') = $2)
        AND ($3 = '' OR COALESCE({_POSTLINK}, '{NONE}') = $3)
        AND (CAST($4 AS BIGINT) IS NULL OR {_REASON} = $4) AND ($5 = '' OR {_NAMED}) ORDER BY serial""",
    "written": """SELECT serial, kind, body FROM things
        WHERE kind IN ('Invoice', 'Transaction', 'Delivery', 'InvoiceLink') AND serial > $1 ORDER BY serial LIMIT $2""",
    "make_searched": "UPDATE things SET state = $2, reason = $3, words = $4 WHERE serial = $1",
    "save": """INSERT INTO things
        (world, kind, key, found_1, found_2, due_us, ready_us, of_order, under_way, state, reason, words, body)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
        ON CONFLICT (kind, key, world) DO UPDATE SET
            found_1 = excluded.found_1, found_2 = excluded.found_2, due_us = excluded.due_us, body = excluded.body,
            under_way = excluded.under_way, state = excluded.state, reason = excluded.reason, words = excluded.words,
            ready_us = CASE WHEN excluded.due_us = things.due_us THEN things.ready_us ELSE excluded.ready_us END,
            claimed_by = CASE WHEN excluded.due_us = things.due_us THEN things.claimed_by END""",
    "record": """INSERT INTO events (world, number, at_us, kind, invoice_id, facts)
        VALUES ($1, $2, $3, $4, $5, $6)""",
    "count": "UPDATE worlds SET last_event = $2, invoices = $3 WHERE client_id = $1",
    "events": f"{_EVENTS} AND number > $2 ORDER BY number",
    "events_of": f"{_EVENTS} AND invoice_id = $2 ORDER BY number",
    "moments": """SELECT told.invoice_id, first.at_us, latest.at_us
        FROM (SELECT invoice_id, MIN(number) AS first, MAX(number) AS latest FROM events
            WHERE world = $1 AND invoice_id {listed} GROUP BY invoice_id) AS told
        JOIN events AS first ON first.world = $1 AND first.number = told.first
        JOIN events AS latest ON latest.world = $1 AND latest.number = told.latest""",
    "due": """SELECT kind, body, due_us FROM things
        WHERE world = $1 AND due_us IS NOT NULL AND claimed_by IS NULL ORDER BY due_us, serial""",
    "first_due": """SELECT serial, kind, body, due_us FROM things
        WHERE world = $1 AND due_us <= $2 AND claimed_by IS NULL ORDER BY due_us, serial LIMIT 1""",
    "under_way": "SELECT 1 FROM things WHERE world = $1 AND due_us IS NOT NULL AND claimed_by IS NOT NULL LIMIT 1",
    "claim_one": "UPDATE things SET claimed_by = $2 WHERE serial = $1",
    "claim": """UPDATE things SET claimed_by = $1 WHERE serial IN (
            SELECT things.serial FROM things JOIN worlds ON worlds.client_id = things.world
            WHERE things.kind = $2 AND things.claimed_by IS NULL AND things.ready_us <= $3 AND worlds.held_by IS NULL
            ORDER BY things.ready_us, things.serial LIMIT $4{claim})
        RETURNING world, body, ready_us, serial""",
    "next_ready": """SELECT things.ready_us FROM things JOIN worlds ON worlds.client_id = things.world
        WHERE things.kind = $1 AND things.claimed_by IS NULL AND things.ready_us IS NOT NULL
        AND worlds.held_by IS NULL ORDER BY things.ready_us LIMIT 1""",
    "take": "UPDATE worlds SET held_by = $2, held_frozen = $3 WHERE client_id = $1",
    "let_go": "UPDATE worlds SET held_by = NULL WHERE client_id = $1",
    "live": """INSERT INTO workers (name, alive_until_us) VALUES ($1, $2)
        ON CONFLICT (name) DO UPDATE SET alive_until_us = excluded.alive_until_us""",
    "die": "DELETE FROM workers WHERE name = $1",
    "bury": "DELETE FROM workers WHERE name IN (SELECT name FROM workers WHERE alive_until_us < $1{claim_rows})",
    "release": """UPDATE things SET claimed_by = NULL WHERE serial IN (
            SELECT serial FROM things WHERE claimed_by IS NOT NULL
            AND NOT EXISTS (SELECT 1 FROM workers WHERE name = claimed_by){claim_things})""",
    "left_held": f"SELECT client_id {_LEFT_HELD}",
    "still_left_held": f"SELECT held_frozen {_LEFT_HELD} AND client_id = $1",
    "count_kind": "SELECT COUNT(*) FROM things WHERE world = $1 AND kind = $2",
    "count_things": _KEPT.format(of=""),
    "count_things_of": _KEPT.format(of=" AND world = $1"),
    "count_worlds": _TALLY,
    "count_worlds_of": f"{_TALLY} WHERE client_id = $1",
    # Of the orders that were begun first, those in which nothing was new for the longest time.
    "oldest_orders": """SELECT first.key,
            (SELECT MAX(serial) FROM things WHERE world = $1 AND of_order = first.key) AS youngest,
            (SELECT MAX(under_way) FROM things WHERE world = $1 AND of_order = first.key) AS under_way
        FROM (SELECT key FROM things WHERE world = $1 AND kind = 'Invoice' ORDER BY serial LIMIT $2) AS first
        ORDER BY youngest""",
    "forget_order": "DELETE FROM things WHERE world = $1 AND of_order = $2 RETURNING kind, under_way",
    "forget_oldest": """DELETE FROM things WHERE serial IN (SELECT serial FROM things
        WHERE world = $1 AND kind = $2 AND NOT EXISTS (SELECT 1 FROM things AS page
            WHERE page.world = $1 AND page.kind = 'Checkout' AND page.found_1 = things.key)
        AND NOT EXISTS (SELECT 1 FROM things AS question
            WHERE question.world = $1 AND question.kind = 'Challenge' AND question.found_2 = things.key)
        ORDER BY serial LIMIT $3) RETURNING kind""",
    "forget_old_events": "DELETE FROM events WHERE world = $1 AND number <= $2 RETURNING 1",
    "forgotten": """UPDATE worlds SET forgotten_transactions = forgotten_transactions + $2,
        forgotten_events = forgotten_events + $3, forgotten_bodies = forgotten_bodies + $4,
        forgotten_unsent = forgotten_unsent + $5, invoices = invoices - $6 WHERE client_id = $1""",
}

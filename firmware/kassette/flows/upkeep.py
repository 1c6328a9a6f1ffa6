"""What the journal needs now and then when nobody is waiting: damage put on record, closed batches forgotten.

Imported when used.
"""

from kassette.codec import records
from kassette.flows import book


def tend(t):
    """One round. Raises Fault as `Journal.append` and `Journal.forget` do."""
    journal = t.journal
    if t.till.is_locked:
        # Since the start all was looked through, and fits.
        is_news = not journal.damaged and journal.scrub < journal.tail
    else:
        is_news = journal.damaged
    if is_news:
        book.append(t, records.CONFIG, records.JOURNAL_DAMAGED, journal.damaged, 0)
    if not t.paper.waiting and journal.forget():
        book.append(t, records.KEY_ROLL, journal.batch)

"""The back office: verifies what terminals upload, keeps the books, issues cards, shows what does not fit.

office.BackOffice   all of it as one object, startable inside any process
intake, chain       uploads: verified, booked, acknowledged
booking, evidence   journal records and cards' records become facts
rules, settlement   facts become postings (`ledger`) and outcomes
checks, mismatch    what does not fit
issuing, orders     value onto cards
pages, views        what people see; terminal_app, tls, listener: what terminals reach
"""

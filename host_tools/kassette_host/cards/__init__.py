"""The host's way to speak to cards: an EV1 client of its own, the purse's layout, personalisation and credit."""

"""The virtual DESFire EV1 card, complete with its commands, and cards that are no such card."""

from kassette_host.virtual import desfire_apps, desfire_auth, desfire_data
from kassette_host.virtual.desfire_card import COMMANDS, DesfireCard
from kassette_host.virtual.iso14443a import CardA
from kassette_host.virtual.isodep import Type4ACard, activate

COMMAND_MODULES = (desfire_apps, desfire_auth, desfire_data)  # importing them fills COMMANDS

__all__ = ["COMMANDS", "CardA", "DesfireCard", "Type4ACard", "activate"]

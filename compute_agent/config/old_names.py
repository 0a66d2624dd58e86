"""Options of Anaconda Enterprise Notebooks 4, as its files name them."""

#: What the option is called now; its meaning is the same.
OLD_NAMES = {
    "projectRoot": "project_root",
    "MANAGE_ACCOUNTS": "manage_accounts",
    "ANON_USER": "anon_user",
    "AEN_SRVC_ACCT": "service_account",
}

#: Options that had a meaning and have none any more, with the reason and the mend.
REFUSED = {
    "numericUsernames": (
        "is refused: programs take a name of digits for a user id, so that it could stand for "
        "somebody else's account. Remove it, and give these people names that begin with a letter"
    ),
}

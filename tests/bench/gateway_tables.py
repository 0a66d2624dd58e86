"""Rounds in which all take turns, and tables of their medians."""

import statistics


def medians(rounds, subjects, measure):
    """Return for each subject the median of each figure, over rounds in which all take turns."""
    rows = {subject: [] for subject in subjects}
    for _ in range(rounds):
        for subject in subjects:
            rows[subject].append(measure(subject))
    return {
        subject: [statistics.median(column) for column in zip(*found, strict=True)]
        for subject, found in rows.items()
    }


def table(title, columns, found, show):
    print(f"\n{title}\n\n| | {' | '.join(columns)} |\n|---|{'---:|' * len(columns)}")
    peer = next((row for subject, row in found.items() if "configurable" in subject.name), None)
    for subject, row in found.items():
        print(f"| {subject.name} | {' | '.join(show(row, peer))} |", flush=True)


def times(value, peer):
    return f"{value / peer[0]:.2f}" if peer else "—"


def show_rate(row, peer):
    return [f"{row[0]:,.0f}", times(row[0], peer), f"{row[1]:.0f}"]

"""The only writer of guidelines and of who has seen which version."""

from django.db import IntegrityError, transaction

from annotate.models import Guideline, GuidelineSeen
from curation.models import Dataset, User

DEFAULT_TEXT = """\
## What to judge
Read the prompt, then both responses. Which one serves the person who wrote the prompt better? \
The order on screen is random and means nothing.

1. **Does it do what was asked?** All of it, in the form asked for. A response that answers another question loses.
2. **Is it right?** Check facts, sums and code as far as you can. Wrong and confident is worse than honestly unsure.
3. **Is it safe and fair?** Harmful help is worse than none; a needless refusal is worse than help.
4. **Is it clear?** Plain, well ordered, as long as it needs to be.

Length, headings, bold type and a friendly tone are not merits by themselves. \
If the shorter response says all that is needed, it is at least as good.

## How strongly
- **Much better**: the other one fails or misleads.
- **Better**: a clear difference that the person would notice and care about.
- **Slightly better**: you had to look twice.
- **Equally good**: you would be happy with either.
- **Both bad**: neither is of use to the person.
- **Cannot judge**: you lack the knowledge or the language, or the text is broken. Saying so helps; guessing does not.

## Rationale
One sentence is enough: what decided it? Name the error or the merit, and quote the words if you can.
"""


def in_force(dataset: Dataset) -> Guideline:
    """The latest version; the default text becomes version 1 when somebody first asks."""
    latest = Guideline.objects.filter(dataset=dataset).order_by("-version").first()
    if latest is not None:
        return latest
    return Guideline.objects.get_or_create(dataset=dataset, version=1, defaults={"text": DEFAULT_TEXT})[0]


@transaction.atomic
def revise(dataset: Dataset, *, text: str, user: User) -> Guideline:
    """A new version with this text; the one in force when nothing changed."""
    # Two curators saving at once get two versions, one after the other.
    Dataset.objects.select_for_update(no_key=True).only("pk").get(pk=dataset.pk)
    latest = in_force(dataset)
    text = text.replace("\r\n", "\n").strip() + "\n"
    if text == latest.text:
        return latest
    return Guideline.objects.create(dataset=dataset, version=latest.version + 1, text=text, created_by=user)


def mark_seen(guideline: Guideline, *, user: User) -> None:
    try:
        with transaction.atomic():
            GuidelineSeen.objects.get_or_create(guideline=guideline, user=user)
    except IntegrityError:  # two tabs said so at once
        return


def seen(guideline: Guideline, user: User) -> bool:
    return GuidelineSeen.objects.filter(guideline=guideline, user=user).exists()

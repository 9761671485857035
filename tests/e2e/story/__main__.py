"""`make demo`: tells the story on real clusters, shows what held, and exits non-zero if anything didn't."""

import os
import sys
import traceback

from tests.cluster.lab import Lab, LabError
from tests.e2e.story.chapters import CHAPTERS, NEEDS_HANDS
from tests.e2e.story.measures import show_measures
from tests.e2e.story.narration import Narrator
from tests.e2e.story.opening import opened


def main() -> int:
    """Tell every chapter; one that breaks off ends the story, and the table of what was shown still comes."""
    narrator = Narrator()
    lab = Lab.from_environment()
    try:
        with opened(narrator, lab) as story:
            for title, tell in CHAPTERS.items():
                if title in NEEDS_HANDS and not lab.hands:
                    narrator.show(title, None, "needs the lab's hands (cut, kill)")
                    continue
                with narrator.chapter(title):
                    tell(story)
            show_measures(story)
    except LabError as error:
        narrator.show("the story was told to its end", False, str(error))
    except Exception as error:  # noqa: BLE001 - whatever broke, the table is still owed
        traceback.print_exc()
        narrator.show("the story was told to its end", False, f"{type(error).__name__}: {error}")
    finally:
        if lab.hands and not os.environ.get("SKERRY_KEEP_LAB"):
            lab.down(progress=narrator.say)
    narrator.close()
    return 0 if narrator.all_held else 1


if __name__ == "__main__":
    sys.exit(main())

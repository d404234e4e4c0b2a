"""The words that go with every model output, wherever it is shown, copied or exported."""

from typing import Final

NOTICE: Final = "draft – not for clinical use"
NOTICE_ON_PIXELS: Final = NOTICE.upper()

"""Made-up DICOM studies with known truth: chest films and small chest CTs.

They seed the first run, train the demonstration model and serve the tests. Everything about
them says that they are made up, except the pixels.
"""

from storage.phantoms.objects import to_bytes
from storage.phantoms.studies import PhantomStudy, make_studies, write_studies

__all__ = ["PhantomStudy", "make_studies", "to_bytes", "write_studies"]

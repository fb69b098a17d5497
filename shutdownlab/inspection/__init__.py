"""The inspection layer: packet bytes and time in, verdict out.

In a checkout (`scripts/compile`) compiled modules count only as long as no source has changed: an edit is what runs.
"""

from shutdownlab.inspection import freshness

freshness.prefer_sources_where_edited()
del freshness

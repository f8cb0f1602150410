"""Notes, revisions, search and trash of training runs."""

from alembic import op

revision: str = "0006"
down_revision: str | None = "0005"


def upgrade() -> None:
    _create_search_words()


def _create_search_words() -> None:
    """What kernel/search.py searches in: words, and the runs of letters and of digits in them."""
    between = r"[\u0001-\u002f\u003a-\u0040\u005b-\u0060\u007b-\u00bf\u00d7\u00f7\u2000-\u206f\u3000-\u303f]"
    op.execute(
        rf"""
        CREATE FUNCTION raven_search_words(content text) RETURNS tsvector
        LANGUAGE sql IMMUTABLE PARALLEL SAFE
        RETURN (
            SELECT array_to_tsvector(array_remove(words || parts, ''))
            FROM (
                SELECT
                    regexp_split_to_array(cut, '{between}+') AS words,
                    regexp_split_to_array(regexp_replace(cut, '([0-9]+)', ' \1 ', 'g'), '{between}+') AS parts
                FROM (
                    SELECT regexp_replace(
                        lower(content),
                        '({between.replace("[", "[^", 1)}{{60}}){between.replace("[", "[^", 1)}+', '\1', 'g'
                    ) AS cut
                ) AS shortened
            ) AS split
        )
        """  # noqa: S608 - nothing of a user is in it
    )

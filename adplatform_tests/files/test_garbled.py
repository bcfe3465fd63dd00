"""Whether text looks as if it were decoded by a wrong encoding."""

import pytest

from adplatform.files.garbled import MOST_PLACES, Garbled, garbled

WESTERN = (
    *("Größe", "Montréal", "Trois-Rivières", "São Paulo", "O’Fallon", "Free shipping – “Prime”", "œuvre", "1.º andar"),
    *("L’Haÿ-les-Roses", "¿Qué?", "½ Zoll", "30×40 cm", "Zubehör™ (25°C)", "ÖSTERREICH", "Forêt", "garçon", "5 €"),
)
JAPANESE = (
    *(
        "名前ー表示①髙",
        "東京都渋谷区",
        "テスト",
        "ソーラーライト 表札",
        "A4サイズ",
        "Tシャツ",
        "X線",
        "10cm角",
        "黒M",
        "お茶 500ml",
    ),
    *("SサイズとMサイズ", "ﾃﾞｨｽﾌﾟﾚｲ", "（株）山田", "〒150-0002"),
)


@pytest.mark.parametrize("text", [*WESTERN, *JAPANESE, "Łódź", "İğş", "Ærø", "Ñandú", "Spaß“", "CAFÉ”"])
def test_what_is_written_so_is_not_strange(text: str) -> None:
    assert garbled([text]).strange == 0


@pytest.mark.parametrize(
    ("text", "sent", "read"),
    [
        *((text, "cp1252", "cp932") for text in WESTERN),
        *((text, "cp932", "cp1252") for text in JAPANESE),
        *((text, "utf-8", "cp1252") for text in (*WESTERN, *JAPANESE)),
        *((text, "utf-8", "latin-1") for text in (*WESTERN, *JAPANESE)),
    ],
)
def test_what_a_wrong_encoding_makes_of_it_is(text: str, sent: str, read: str) -> None:
    try:
        wrong = text.encode(sent).decode(read)
    except UnicodeError:
        return  # seen by the decoder already
    assert garbled([wrong]).share >= 0.5


def test_places_are_counted_over_pieces_and_not_without_end() -> None:
    assert garbled(["Größe, ", "plain", "GrÃ¶ÃŸe"]) == Garbled(1, 2)
    assert garbled(["é " * MOST_PLACES, "Ã¶"]) == Garbled(0, MOST_PLACES)

import pytest

from mock_epay import resources
from mock_epay.wire import outgoing

FINAL = (
    "0 455 456 457 458 459 460 461 462 463 464 465 466 467 468 469 470 471 472 473 475 476 477 478 479 480 481 482 483 "
    "484 485 486 487 488 489 490 491 492 493 494 495 496 497 498 499 500 501 502 503 504 505 521 522 523 524 525 526 "
    "527 528 529 877 1266 1373 1612 1654 2092 2678 2740 2872 3141 3298"
)
NOT_FINAL = "100 293 454 690 1267 1268 1269 1563 1564 3225 3240"

CODES = dict.fromkeys(FINAL.split(), True) | dict.fromkeys(NOT_FINAL.split(), False)


def test_the_table_has_the_published_codes_and_no_other() -> None:
    assert set(resources.table("reasons")) == set(CODES)


def test_the_table_is_in_the_order_of_the_codes() -> None:
    codes = [int(code) for code in resources.table("reasons")]

    assert codes == sorted(codes)


@pytest.mark.parametrize(("code", "final"), CODES.items())
def test_a_reason_is_final_or_the_shop_has_to_ask_again(code: str, *, final: bool) -> None:
    assert resources.table("reasons")[code]["final"] is final


@pytest.mark.parametrize("code", CODES)
def test_a_reason_has_words_in_three_languages(code: str) -> None:
    texts = [outgoing.reason(int(code), language) for language in ("rus", "kaz", "eng")]

    assert all(text and text == text.strip() for text in texts)
    assert len(set(texts)) == 3
    assert texts[2].isascii()
    assert set(resources.table("reasons")[code]) == {"final", "rus", "kaz", "eng"}

"""`--output` is read as buildx reads it; what we can't do is said, not passed over."""

import contextlib
import csv
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wherry.errors import InvalidUsage
from wherry.settings.outputs import Output, OutputType, encoding_of, parse_outputs


@pytest.mark.parametrize(
    ("text", "output"),
    [
        ("out", Output(type=OutputType.LOCAL, dest="out", tar=False)),
        ("./a folder, two", None),
        ("-", Output(type=OutputType.TAR, dest="-")),
        ("type=local,dest=out", Output(type=OutputType.LOCAL, dest="out", tar=False)),
        ("type=tar", Output(type=OutputType.TAR, dest="-")),
        ("type=oci,dest=app.tar", Output(type=OutputType.OCI, dest="app.tar")),
        ("type=oci,dest=app,tar=false", Output(type=OutputType.OCI, dest="app", tar=False)),
        ("TYPE=oci, dest=a", Output(type=OutputType.OCI, dest="a")),
        ('type=oci,"dest=a,b"', Output(type=OutputType.OCI, dest="a,b")),
        ('type=docker,dest=-,"name=a:1,b:2"', Output(type=OutputType.DOCKER, dest="-", names=("a:1", "b:2"))),
        (
            "type=oci,compression=zstd,compression-level=19,oci-mediatypes=true",
            Output(type=OutputType.OCI, dest="-", compression="zstd", compression_level=19),
        ),
        ("type=oci,compression=uncompressed", Output(type=OutputType.OCI, dest="-", compression="none")),
        (
            "type=local,dest=a,platform-split=false",
            Output(type=OutputType.LOCAL, dest="a", tar=False, platform_split=False),
        ),
    ],
)
def test_what_is_written_is_read(text, output):
    """The grammar, case by case; a lone word is a folder."""
    if output is None:
        with pytest.raises(InvalidUsage):
            Output.parse(text)
    else:
        assert Output.parse(text) == output


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("type=ocl,dest=a", "type=oci"),
        ("type=oci,destt=a", "dest="),
        ("type=oci,compresion=gzip", "compression="),
        ("dest=a", "types are"),
        ("", "key=value"),
        ("type=oci,dest", "key=value"),
        ("type=oci,=a", "key=value"),
        ("type=image,dest=a", "name"),
        ("type=registry,push-by-digest=true", "pushed by name"),
        ("type=oci,dest=a,push=true", "push"),
        ("type=docker,dest=a,tar=false", "type=oci,tar=false"),
        ("type=oci,tar=false", "dest"),
        ("type=oci,tar=false,dest=-", "stdout"),
        ("type=local,dest=-", "stdout"),
        ("type=oci,tar=perhaps", "true or false"),
        ("type=oci,compression=xz", "gzip"),
        ("type=oci,compression-level=high", "number"),
        ("type=oci,oci-mediatypes=false", "stored"),
        ("type=oci,annotation.a=b", "--annotation"),
        ("type=oci,dest=a,dest=b", "twice"),
        ("type=tar,dest=a,compression=gzip", "dest"),
        ('type=oci,"dest=a', "quote"),
        ("type=oci\ntype=oci", "line"),
    ],
)
def test_what_does_not_fit_is_refused(text, words):
    """One message with the place, and a hint to follow."""
    with pytest.raises(InvalidUsage) as caught:
        Output.parse(text)

    assert words in caught.value.message + caught.value.hint
    assert caught.value.hint


def test_images_are_stored_or_pushed():
    """`registry` is `image` that is pushed, as in buildx."""
    stored, pushed = parse_outputs(["type=image,name=a", "type=registry,name=r.example/a,registry.insecure=true"])

    assert (stored.type, stored.push, stored.names) == (OutputType.IMAGE, False, ("a",))
    assert (pushed.type, pushed.push, pushed.insecure) == (OutputType.IMAGE, True, True)
    assert Output.parse("type=image,push=true").push
    assert Output.parse("type=cacheonly") == Output.parse("type=image")
    assert not pushed.stdout


def test_two_outputs_to_one_place_are_refused():
    """They would overwrite each other."""
    with pytest.raises(InvalidUsage):
        parse_outputs(["type=oci", "-"])
    with pytest.raises(InvalidUsage):
        parse_outputs(["type=oci,dest=a", "type=docker,dest=a"])


def test_several_outputs_keep_their_order():
    """Each is written, first to last."""
    outputs = parse_outputs(["type=oci,dest=a", "out"])

    assert [output.type for output in outputs] == [OutputType.OCI, OutputType.LOCAL]


def test_an_image_has_one_encoding():
    """What one output asks for holds for all; two answers are none."""
    outputs = parse_outputs(["type=oci,dest=a", "type=docker,dest=b,compression=zstd,compression-level=3"])

    assert encoding_of(outputs, None, None) == ("zstd", 3)
    assert encoding_of(outputs, "zstd", None) == ("zstd", 3)
    assert encoding_of([], None, 5) == (None, 5)
    with pytest.raises(InvalidUsage):
        encoding_of(outputs, "gzip", None)
    with pytest.raises(InvalidUsage):
        encoding_of(outputs, None, 4)


PLAIN = st.text(st.characters(codec="utf-8", exclude_characters="\r\n\0"), min_size=1, max_size=20)


@settings(max_examples=60)
@given(dest=PLAIN.filter(lambda text: text != "-"))
def test_any_path_can_be_quoted(dest):
    """Commas and quotes in a path survive CSV."""
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(["type=oci", f"dest={dest}"])

    assert Output.parse(line.getvalue()).dest == dest


@settings(max_examples=60)
@given(st.text(max_size=40))
def test_any_text_is_read_or_refused(text):
    """Nothing but our own error comes out."""
    with contextlib.suppress(InvalidUsage):
        assert Output.parse(text).dest

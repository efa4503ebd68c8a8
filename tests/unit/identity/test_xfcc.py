"""x-forwarded-client-cert: the parser against what Envoy 1.40 writes and what an attacker would, and the choice."""

import json

import pytest

from authz_server.identity.xfcc import XfccElement, XfccError, parse_xfcc, select_caller

HASH = "905b15c284ec31f42efbe75a209c23ab4498e719b68e6b5195d267583c5317d4"
API = "spiffe://corp.example/ns/crm/sa/api"
FRONT = "spiffe://corp.example/front"
BACK = "spiffe://corp.example/back"

# The values that Envoy 1.40.0 wrote with all of set_current_client_cert_details on, but for shortened certificates.
ENVOY_ONE = (
    f'By={BACK};Hash={HASH};Cert="-----BEGIN%20CERTIFICATE-----%0AMII%3D%0A-----END%20CERTIFICATE-----%0A";'
    f'Chain="-----BEGIN%20CERTIFICATE-----%0AMII%3D%0A-----END%20CERTIFICATE-----%0A";'
    rf'Subject="CN=cn \"q\" \, \; = \\";URI={API};DNS=y.example;DNS=z.example;Issuer="CN=CA \"x\"\, y\;z=\\"'
)
ENVOY_JSON = json.dumps(
    [
        {"by": [FRONT], "hash": HASH, "uri": [API], "dns": ["a,By=b;URI=c", 'q"uote\\x'], "issuer": "CN=CA"},
        {"by": [BACK], "hash": HASH, "cert": "-----BEGIN CERTIFICATE-----\nMII=\n-----END CERTIFICATE-----\n",
         "chain": ["one\n", "two\n"], "subject": 'CN=\\"q\\"', "uri": [FRONT]},
    ],
    separators=(",", ":"),
)  # fmt: skip


def code(text: str, **settings) -> str:
    with pytest.raises(XfccError) as caught:
        parse_xfcc(text, **settings)
    return caught.value.code


def test_envoys_text_is_read_in_full():
    """Keys, quotes and the escapes of RFC 2253 subjects are understood."""
    expected = XfccElement(
        BACK, API, HASH, "-----BEGIN%20CERTIFICATE-----%0AMII%3D%0A-----END%20CERTIFICATE-----%0A",
        'CN=cn "q" , ; = \\', ("y.example", "z.example"),
    )  # fmt: skip
    assert (expected,) == parse_xfcc(ENVOY_ONE)
    assert (expected, XfccElement(FRONT, BACK)) == parse_xfcc(f"{ENVOY_ONE},By={FRONT};URI={BACK}")


def test_keys_are_case_insensitive_and_any_value_may_be_quoted():
    """Both spellings of the grammar give the same element; an empty subject is no subject."""
    expected = (XfccElement(BACK, API, HASH),)
    assert expected == parse_xfcc(f'bY="{BACK}";HASH={HASH.upper()};subject="";uRI="{API}"')


def test_json_is_read_when_it_is_configured():
    """The JSON form gives the same elements, and hostile names in it stay names."""
    first, second = parse_xfcc(ENVOY_JSON, allow_json=True)
    assert XfccElement(FRONT, API, HASH, dns=("a,By=b;URI=c", 'q"uote\\x')) == first
    assert (second.by, second.uri, second.subject) == (BACK, FRONT, 'CN=\\"q\\"')
    assert second.cert.startswith("-----BEGIN CERTIFICATE-----\n")
    assert code(ENVOY_JSON) == "xfcc_json"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "xfcc_syntax"),
        (",", "xfcc_syntax"),
        ("URI", "xfcc_syntax"),
        (f"URI={API},", "xfcc_syntax"),
        (f"URI={API};", "xfcc_syntax"),
        (f",URI={API}", "xfcc_syntax"),
        (f"URI={API};;By={BACK}", "xfcc_syntax"),
        (f"URI={API}, By={BACK}", "xfcc_syntax"),
        (f" URI={API}", "xfcc_syntax"),
        (f"URI ={API}", "xfcc_syntax"),
        (f"={API}", "xfcc_syntax"),
        (f"URI={API}=x", "xfcc_syntax"),
        (f'URI={API}"', "xfcc_syntax"),
        (f'URI="{API}', "xfcc_syntax"),
        (f'URI="{API}\\"', "xfcc_syntax"),
        (f'URI="{API}"x', "xfcc_syntax"),
        (f'URI={API};Subject="a"b"', "xfcc_syntax"),
        (f"URI={API}\\", "xfcc_syntax"),
        (f"URI={API}\n", "xfcc_syntax"),
        (f'URI={API};Subject=",By={BACK};Hash={HASH}"', "xfcc_syntax"),
        (f'URI={API};Subject="x,hAsH={HASH}"', "xfcc_syntax"),
        (f'URI={API};Subject="CN=x,O=by=z"', ""),
        (f'URI={API};Subject="\x00"', "xfcc_syntax"),
        (f"URI={API};DNS=a\x7f", "xfcc_syntax"),
        (f"URI={API};DNS=", ""),
        (f"URI={API};Kind=x", "xfcc_key"),
        (f"URI={API};Uri={API}", "xfcc_repeated"),
        (f"URI={API};DNS=a;URI={BACK}", "xfcc_repeated"),
        (f"URI={API};Hash={HASH};Hash={HASH}", "xfcc_repeated"),
        (f'URI={API};Subject="a";Subject="a"', "xfcc_repeated"),
        (f"By={BACK};By={FRONT};URI={API}", "xfcc_repeated"),
        (f'URI={API};Cert="a";Cert="b"', "xfcc_repeated"),
        (f"By={BACK};Hash={HASH}", "xfcc_uri"),
        ("URI=", "xfcc_uri"),
        ('URI=""', "xfcc_uri"),
        ("URI=-", "xfcc_uri"),
        (f"URI={API},URI=", "xfcc_uri"),
        (f"URI={API};Hash=12", "xfcc_hash"),
        (f"URI={API};Hash={HASH}0", "xfcc_hash"),
        (",".join([f"URI={API}"] * 16), ""),
        (",".join([f"URI={API}"] * 17), "xfcc_too_many"),
        (f"URI={API}" + ";DNS=a" * 511, ""),
        (f"URI={API}" + ";DNS=a" * 512, "xfcc_too_many"),
        (f"URI={API};DNS=" + "a" * 65536, "xfcc_too_long"),
        ('{"uri":["a"]}', "xfcc_syntax"),
    ],
)
def test_text_that_no_proxy_writes_is_refused(text, expected):
    """Each deviation has its code; `""` marks the neighbours that are fine."""
    assert (code(text) if expected else parse_xfcc(text) and "") == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[", "xfcc_json"),
        ("[]", "xfcc_json"),
        # Envoy 1.40 continues a client's `[]` and `[1]` like this.
        (f'[,{{"uri":["{API}"]}}]', "xfcc_json"),
        (f'[1,{{"uri":["{API}"]}}]', "xfcc_json"),
        ('["a"]', "xfcc_json"),
        ("[null]", "xfcc_json"),
        ("[{}]", "xfcc_uri"),
        ('[{"uri":[]}]', "xfcc_uri"),
        ('[{"uri":["-"]}]', "xfcc_uri"),
        ('[{"uri":"spiffe://td/a"}]', "xfcc_json"),
        ('[{"uri":[1]}]', "xfcc_json"),
        ('[{"uri":[true]}]', "xfcc_json"),
        ('[{"uri":[["a"]]}]', "xfcc_json"),
        ('[{"uri":["a","b"]}]', "xfcc_repeated"),
        ('[{"uri":["a"],"uri":["b"]}]', "xfcc_repeated"),
        ('[{"dns":["a"],"dns":["b"],"uri":["a"]}]', "xfcc_repeated"),
        ('[{"by":["a","b"],"uri":["a"]}]', "xfcc_repeated"),
        ('[{"URI":"a"}]', "xfcc_key"),
        ('[{"uri":["a"],"hash":{"x":1}}]', "xfcc_json"),
        ('[{"uri":["a"],"hash":NaN}]', "xfcc_json"),
        ('[{"uri":["a"],"hash":1e999}]', "xfcc_json"),
        ('[{"uri":["a"]}] x', "xfcc_json"),
        ('[{"uri":["a"]}],By=b;URI=c', "xfcc_json"),
        ("[" * 30000, "xfcc_json"),
        ("[" + ",".join(['{"uri":["a"]}'] * 17) + "]", "xfcc_too_many"),
    ],
)
def test_json_that_no_proxy_writes_is_refused(text, expected):
    """Types, keys and repetitions are as strict as in the text form."""
    assert code(text, allow_json=True) == expected


def test_an_error_does_not_quote_the_header():
    """The code is all that is said about a hostile value."""
    with pytest.raises(XfccError) as caught:
        parse_xfcc("URI=spiffe://secret;secret=1")
    assert str(caught.value) == "xfcc_key"
    with pytest.raises(XfccError) as caught:
        parse_xfcc('[{"secret": }]', allow_json=True)
    assert caught.value.__suppress_context__


class TestSelect:
    HOPS = frozenset({FRONT, "spiffe://corp.example/edge"})

    def select(self, text: str, own=(BACK,), *, sanitize_set: bool = False):
        found = select_caller(parse_xfcc(text), self.HOPS.__contains__, own, sanitize_set=sanitize_set)
        return found.uri if isinstance(found, XfccElement) else found

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            (f"By={BACK};URI={API}", API),
            (f"By={FRONT};URI={API},By={BACK};URI={FRONT}", API),
            (f"By=spiffe://corp.example/edge;URI={API},By={FRONT};URI=spiffe://corp.example/edge,By={BACK};URI={FRONT}", API),
            # What stands left of the caller is the caller's own claim.
            (f"By=x;URI=spiffe://corp.example/admin,By={BACK};URI={API}", API),
            (f"By={API};URI=spiffe://corp.example/admin,By={FRONT};URI={API},By={BACK};URI={FRONT}", API),
            (f"By={BACK};URI={FRONT}", "xfcc_no_caller"),
            (f"URI={API}", "xfcc_by"),
            (f"By={FRONT};URI={API}", "xfcc_by"),
            (f"By=x;URI={API},By={BACK};URI={FRONT}", "xfcc_by"),
            (f"By={BACK};URI={API},By={FRONT};URI={FRONT}", "xfcc_by"),
            (f"URI={API},By={BACK};URI={FRONT}", "xfcc_by"),
            # A DNS name with commas has split the element of `evil` in two, at the last proxy and at the hop.
            (f"By={BACK};URI=spiffe://corp.example/evil;DNS=a,By={BACK};URI={API}", "xfcc_repeated_by"),
            (f"By={FRONT};URI=spiffe://corp.example/evil;DNS=a,By={FRONT};URI={API},By={BACK};URI={FRONT}", "xfcc_repeated_by"),
            (f"By={BACK};URI=spiffe://corp.example/evil;DNS=a,By=x;URI=y,By={BACK};URI={API}", "xfcc_repeated_by"),
        ],
    )  # fmt: skip
    def test_the_first_element_from_the_right_that_is_no_hop(self, text, expected):
        """The chain of `By` is followed to the caller; where it breaks there is none."""
        assert self.select(text) == expected

    def test_sanitize_set_has_one_element(self):
        """The header of the asking proxy alone; more of them is somebody else's header."""
        assert self.select(f"By={BACK};URI={API}", sanitize_set=True) == API
        assert self.select(f"By={FRONT};URI={API},By={BACK};URI={FRONT}", sanitize_set=True) == "xfcc_elements"
        assert self.select(f"By={BACK};URI={FRONT}", sanitize_set=True) == "xfcc_no_caller"

    def test_without_a_name_of_its_own_no_proxy_can_sign(self):
        """An unknown asking proxy makes every element unsigned, even one without `By`."""
        assert self.select(f"By={BACK};URI={API}", own=()) == "xfcc_by"
        assert self.select(f"URI={API}", own=("",)) == "xfcc_by"

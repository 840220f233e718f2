package pin_test

import (
	"encoding/base64"
	"slices"
	"strings"
	"testing"

	"github.com/backendtls/backendtls/internal/pin"
)

const (
	sumHex    = "0102030405060708090a0b0c0d0e0f10f1f2f3f4f5f6f7f8f9fafbfcfdfeff00"
	sumBase64 = "AQIDBAUGBwgJCgsMDQ4PEPHy8/T19vf4+fr7/P3+/wA="
)

// colons is hex with a colon after every byte but the last.
func colons(hex string) string {
	var octets []string
	for octet := range slices.Chunk([]byte(hex), 2) {
		octets = append(octets, string(octet))
	}
	return strings.Join(octets, ":")
}

func TestEveryFormIsReadAndWrittenCanonically(t *testing.T) {
	upper := strings.ToUpper(sumHex)
	for name, c := range map[string]struct{ text, want string }{
		"canonical key":              {"spki-sha256:" + sumBase64, "spki-sha256:" + sumBase64},
		"canonical certificate":      {"cert-sha256:" + sumHex, "cert-sha256:" + sumHex},
		"certificate in capitals":    {"cert-sha256:" + upper, "cert-sha256:" + sumHex},
		"certificate with colons":    {"cert-sha256:" + colons(upper), "cert-sha256:" + sumHex},
		"curl":                       {"sha256//" + sumBase64, "spki-sha256:" + sumBase64},
		"openssl":                    {colons(upper), "cert-sha256:" + sumHex},
		"openssl, in lower case too": {colons(sumHex), "cert-sha256:" + sumHex},
	} {
		t.Run(name, func(t *testing.T) {
			parsed, err := pin.Parse(c.text)
			if err != nil {
				t.Fatal(err)
			}
			if got := parsed.String(); got != c.want {
				t.Errorf("%q became %q, want %q", c.text, got, c.want)
			}
			again, err := pin.Parse(parsed.String())
			if err != nil || again != parsed {
				t.Errorf("the canonical form reads as %v, %v", again, err)
			}
		})
	}
}

func TestFaultsAreNamed(t *testing.T) {
	short := base64.StdEncoding.EncodeToString(make([]byte, 31))
	for name, c := range map[string]struct{ text, want string }{
		"31 bytes": {
			"spki-sha256:" + short,
			`pin "spki-sha256:` + short + `": 31 bytes, a SHA-256 has 32`,
		},
		"33 bytes":              {"cert-sha256:" + sumHex + "00", "33 bytes, a SHA-256 has 32"},
		"no bytes":              {"spki-sha256:", "0 bytes, a SHA-256 has 32"},
		"a SHA-1 fingerprint":   {colons(sumHex[:40]), "20 bytes, a SHA-256 has 32"},
		"no padding":            {"spki-sha256:" + strings.TrimRight(sumBase64, "="), "not padded base64 (32 bytes)"},
		"URL-safe base64":       {"sha256//" + strings.ReplaceAll(sumBase64, "/", "_"), "write + for - and / for _"},
		"stray bits":            {"spki-sha256:" + strings.Replace(sumBase64, "wA=", "wB=", 1), "not base64"},
		"no base64":             {"spki-sha256:!!", "not base64"},
		"a line break":          {"spki-sha256:" + sumBase64[:20] + "\n" + sumBase64[20:], "line break"},
		"hex as base64":         {"spki-sha256:" + sumHex, "48 bytes, a SHA-256 has 32"},
		"base64 as hex":         {"cert-sha256:" + sumBase64, "not hex"},
		"uneven colons":         {"cert-sha256:" + sumHex[:2] + ":" + sumHex[2:], "not two digits"},
		"openssl, broken":       {colons(sumHex)[:93] + "zz", "not hex with colons"},
		"hex alone":             {sumHex, "write cert-sha256:" + sumHex},
		"base64 alone":          {sumBase64, "unknown form, want spki-sha256:BASE64, cert-sha256:HEX"},
		"one slash":             {"sha256/" + sumBase64, "unknown form"},
		"another hash":          {"spki-sha512:" + sumBase64, "unknown form"},
		"capitals in the form":  {"SPKI-SHA256:" + sumBase64, "unknown form"},
		"white space around":    {" spki-sha256:" + sumBase64, "unknown form"},
		"nothing":               {"", "unknown form"},
		"control characters":    {"\x1b[2J", `"\x1b[2J"`},
		"something very long":   {"spki-sha256:" + strings.Repeat("A", 4096), "..."},
		"a hash of nothing yet": {"cert-sha256:<fingerprint>", "not hex"},
	} {
		t.Run(name, func(t *testing.T) {
			parsed, err := pin.Parse(c.text)
			if err == nil {
				t.Fatalf("read as %s", parsed)
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %q lacks %q", err, c.want)
			}
			if len(err.Error()) > 500 || strings.ContainsAny(err.Error(), "\x1b\n") {
				t.Errorf("an error that cannot be shown: %q", err)
			}
		})
	}
}

func TestAListIsSortedAndWithoutDuplicates(t *testing.T) {
	other := "spki-sha256:" + base64.StdEncoding.EncodeToString(make([]byte, 32))
	pins, err := pin.ParseList("\tcert-sha256:" + sumHex + ",sha256//" + sumBase64 + " ,\n" + other + ", spki-sha256:" +
		sumBase64 + ",")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, p := range pins {
		got = append(got, p.String())
	}
	if want := []string{other, "spki-sha256:" + sumBase64, "cert-sha256:" + sumHex}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if !slices.IsSortedFunc(pins, pin.Compare) {
		t.Error("Compare orders them otherwise")
	}
}

func TestAListNamesTheItemThatIsWrong(t *testing.T) {
	if _, err := pin.ParseList("sha256//" + sumBase64 + ", nonsense"); err == nil ||
		!strings.Contains(err.Error(), `pin "nonsense": unknown form, want spki-sha256:BASE64`) {
		t.Errorf("error %v", err)
	}
	for _, empty := range []string{"", " ", ",\n,"} {
		if pins, err := pin.ParseList(empty); err == nil {
			t.Errorf("%q is a list of %d pins", empty, len(pins))
		}
	}
}

// FuzzParse holds that what is read is written canonically and read again, that
// nothing panics, and that a list of one is that one.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"spki-sha256:" + sumBase64, "cert-sha256:" + sumHex, "sha256//" + sumBase64, colons(sumHex), sumHex, "AA:", "",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		parsed, err := pin.Parse(text)
		if err != nil {
			if len(err.Error()) > 1000 {
				t.Errorf("an error of %d bytes", len(err.Error()))
			}
			return
		}
		again, err := pin.Parse(parsed.String())
		if err != nil || again != parsed {
			t.Errorf("%q: the canonical form %q reads as %v, %v", text, parsed, again, err)
		}
		list, err := pin.ParseList(text)
		if err != nil || len(list) != 1 || list[0] != parsed {
			t.Errorf("%q: a list of one reads as %v, %v", text, list, err)
		}
	})
}

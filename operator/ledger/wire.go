package ledger

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/model"
)

// The limits of what one replica tells another. A record has some 300 bytes for
// each cluster and each policy.
const (
	// maxRecord is the most that is told of one Envoy.
	maxRecord = 24 << 20
	// fullMessage is when the next record goes into a message of its own.
	fullMessage = 1 << 20
	// maxMessage is the most that one message has.
	maxMessage = maxRecord + fullMessage + 1<<20
	// maxLedger is the most that is kept of one replica.
	maxLedger = 512 << 20
)

// message is one message of a stream: records that are new or different, then
// those that are gone. What several messages tell counts with the first one that
// is Complete.
type message struct {
	Envoys   []json.RawMessage `json:"envoys,omitempty"`
	Gone     []identity        `json:"gone,omitempty"`
	Complete bool              `json:"complete,omitempty"`
}

// identity is whose record it is.
type identity struct {
	Gateway key    `json:"gateway"`
	Name    string `json:"name"`
}

// key is a gwapi.Key.
type key struct {
	Kind      gwapi.Kind `json:"kind,omitempty"`
	Namespace string     `json:"namespace,omitempty"`
	Name      string     `json:"name,omitempty"`
}

// record is a model.Envoy of a Gateway.
type record struct {
	identity

	Connected  bool        `json:"connected,omitempty"`
	Settled    []share     `json:"settled,omitempty"`
	Held       []cluster   `json:"held,omitempty"`
	Rejections []rejection `json:"rejections,omitempty"`
}

type share struct {
	key

	Share string `json:"share"`
}

type cluster struct {
	Name    string     `json:"name"`
	Policy  key        `json:"policy,omitzero"`
	Mode    model.Mode `json:"mode,omitempty"`
	Unknown bool       `json:"unknown,omitempty"`
	Lapses  time.Time  `json:"lapses,omitzero"`
}

type rejection struct {
	Type    string `json:"type"`
	Name    string `json:"name,omitempty"`
	Message string `json:"message,omitempty"`
}

// encode writes the record of an Envoy; the same record gives the same bytes.
// One that is too large becomes one of an Envoy that was not heard from: it
// claims nothing, so nothing counts as acknowledged.
func encode(gateway gwapi.Key, e model.Envoy) (raw []byte, tooLarge bool, err error) {
	r := record{Gateway: key(gateway), Name: e.Name, Connected: e.Connected}
	for _, k := range slices.SortedFunc(maps.Keys(e.Settled), gwapi.CompareKeys) {
		r.Settled = append(r.Settled, share{key: key(k), Share: e.Settled[k]})
	}
	for _, held := range e.Held {
		r.Held = append(r.Held, cluster{
			Name: held.Name, Policy: key(held.Policy), Mode: held.Mode, Unknown: held.Unknown, Lapses: held.Lapses.UTC(),
		})
	}
	for _, refused := range e.Rejections {
		r.Rejections = append(r.Rejections, rejection(refused))
	}
	if raw, err = json.Marshal(r); err != nil {
		return nil, false, fmt.Errorf("ledger: encoding the record of %s: %w", e.Name, err)
	}
	if len(raw) > maxRecord {
		raw, err = json.Marshal(record{identity: r.identity})
		return raw, true, err
	}
	return raw, false, nil
}

var errNobody = errors.New("ledger: a record without a Gateway or without a name")

// decode reads the record of an Envoy. Settled is never nil.
func decode(raw []byte) (gwapi.Key, model.Envoy, error) {
	var r record
	if err := json.Unmarshal(raw, &r); err != nil {
		return gwapi.Key{}, model.Envoy{}, fmt.Errorf("ledger: decoding a record: %w", err)
	}
	if err := r.identity.check(); err != nil {
		return gwapi.Key{}, model.Envoy{}, err
	}
	e := model.Envoy{Name: r.Name, Connected: r.Connected, Settled: make(map[gwapi.Key]string, len(r.Settled))}
	for _, s := range r.Settled {
		e.Settled[gwapi.Key(s.key)] = s.Share
	}
	for _, c := range r.Held {
		held := model.HeldCluster{
			Name: c.Name, Policy: gwapi.Key(c.Policy), Mode: c.Mode, Unknown: c.Unknown, Lapses: c.Lapses,
		}
		if held.Mode != "" && !slices.Contains(model.Modes, held.Mode) {
			// Of a newer version: it leaves out what this one does not know of.
			held.Mode = model.InsecureSkipVerification
		}
		e.Held = append(e.Held, held)
	}
	for _, refused := range r.Rejections {
		e.Rejections = append(e.Rejections, model.Rejection(refused))
	}
	return gwapi.Key(r.Gateway), e, nil
}

func (i identity) check() error {
	if i.Gateway.Kind != gwapi.KindGateway || i.Gateway.Name == "" || i.Name == "" {
		return errNobody
	}
	return nil
}

package loop

import (
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/model"
)

// announce logs where each Gateway is to be reached, whenever that changed, and
// that there is none: whoever starts a standalone operator has typed neither
// the addresses nor the ports that it chose.
func (l *Loop) announce(gateways map[gwapi.Key]model.Gateway) {
	if !l.Site.Standalone {
		return
	}
	if len(gateways) == 0 && (l.announced == nil || len(l.announced) > 0) {
		l.Log.Warn("nothing to serve: there is no Gateway of a GatewayClass with our controllerName",
			"controllerName", gwapi.ControllerName)
	}
	announced := make(map[gwapi.Key]string, len(gateways))
	for _, key := range slices.SortedFunc(maps.Keys(gateways), gwapi.CompareKeys) {
		last, known := l.announced[key]
		if gateways[key].Digest == unknown {
			announced[key] = last
			continue
		}
		places := places(gateways[key])
		announced[key] = strings.Join(places, " ")
		switch {
		case known && last == announced[key]:
		case len(places) == 0:
			l.Log.Warn("a gateway has no listener to serve, its status says why", "gateway", key.String())
		default:
			l.Log.Info("serving a gateway", "gateway", key.String(), "at", places)
		}
	}
	l.announced = announced
}

// places are the URLs of the listeners, without their hostnames.
func places(gateway model.Gateway) []string {
	list := make([]string, len(gateway.Listeners))
	for i, listener := range gateway.Listeners {
		list[i] = fmt.Sprintf("%s://%s", strings.ToLower(string(listener.Protocol)),
			net.JoinHostPort(gateway.Address, strconv.Itoa(int(listener.Port))))
	}
	return list
}

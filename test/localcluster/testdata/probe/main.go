// Command probe is what the tests run in pods: it serves, and it looks at the
// cluster from inside.
package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"
)

func main() {
	var err error
	switch arguments := os.Args[1:]; {
	case len(arguments) == 0:
		err = serve()
	case arguments[0] == "lookup":
		err = lookup(arguments[1])
	case arguments[0] == "fetch":
		err = fetch(arguments[1])
	case arguments[0] == "read":
		err = read(arguments[1])
	default:
		err = fmt.Errorf("unknown arguments %q", arguments)
	}
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

func serve() error {
	fmt.Println("probe serves")
	http.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "hello")
	})
	server := &http.Server{Addr: ":8080", ReadHeaderTimeout: time.Second}
	return server.ListenAndServe()
}

func lookup(name string) error {
	addresses, err := net.DefaultResolver.LookupHost(context.Background(), name)
	fmt.Println(strings.Join(addresses, " "))
	return err
}

func fetch(url string) error {
	client := http.Client{Timeout: 5 * time.Second}
	response, err := client.Get(url)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	_, err = io.Copy(os.Stdout, response.Body)
	return err
}

func read(name string) error {
	content, err := os.ReadFile(name)
	fmt.Print(string(content))
	return err
}

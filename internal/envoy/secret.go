package envoy

import (
	"bytes"
	"errors"
	"fmt"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"google.golang.org/protobuf/proto"

	"github.com/backendtls/backendtls/internal/model"
)

// secretName is namespace/name of the Secret. It does not name the content: a
// renewed certificate is swapped into the running listener, while a new name
// would change the listener and drain every connection of it. That a secret is
// changed in place is right here and only here: it proves who Envoy is, it does
// not decide whom Envoy trusts.
func secretName(pair model.KeyPair) string {
	return pair.Secret.Namespace + "/" + pair.Secret.Name
}

// secret writes a server certificate and says by which name it is delivered;
// ok is false where it cannot be, which is then a fault.
func (t *translation) secret(pair model.KeyPair) (name string, ok bool) {
	name = secretName(pair)
	ok = t.try(pair.Secret, name, func() error {
		certificate, err := tlsCertificate(pair)
		if err != nil {
			return err
		}
		written := &tlsv3.Secret{Name: name, Type: &tlsv3.Secret_TlsCertificate{TlsCertificate: certificate}}
		if earlier, twice := t.out.Secrets[name]; twice && !proto.Equal(earlier, written) {
			return errors.New("it has two different contents")
		}
		if err := validate(written); err != nil {
			// The message would show the value.
			return fmt.Errorf("the certificate or its key cannot be sent to Envoy")
		}
		t.out.Secrets[name] = written
		return nil
	})
	return name, ok
}

// tlsCertificate is a certificate and its key in Envoy's words. The error shows
// neither.
func tlsCertificate(pair model.KeyPair) (*tlsv3.TlsCertificate, error) {
	if !bytes.Contains(pair.Chain, []byte("-----BEGIN CERTIFICATE-----")) {
		return nil, errors.New("the certificate chain holds no PEM certificate")
	}
	if !bytes.Contains(pair.Key, []byte("PRIVATE KEY-----")) {
		return nil, errors.New("the private key holds no PEM private key")
	}
	return &tlsv3.TlsCertificate{
		CertificateChain: inlineBytes(pair.Chain),
		PrivateKey:       inlineBytes(pair.Key),
	}, nil
}

func inlineBytes(content []byte) *corev3.DataSource {
	return &corev3.DataSource{Specifier: &corev3.DataSource_InlineBytes{InlineBytes: content}}
}

package main

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/backendtls/backendtls/test/localcluster/internal/image"
)

// imageOptions are what the image command is told.
type imageOptions struct {
	name, binary, entrypoint, user, out string
	files, arguments                    []string
	libraries                           bool
}

func makeImage() *cobra.Command {
	options := &imageOptions{}
	command := &cobra.Command{
		Use:   "image --name NAME --binary FILE --out FILE.tar",
		Short: "Make a container image of a program, for docker load and ctr import",
		Args:  cobra.NoArgs,
		RunE:  func(command *cobra.Command, _ []string) error { return options.run(command) },
	}
	flags := command.Flags()
	flags.StringVar(&options.name, "name", "", "registry/repository:tag of the image")
	flags.StringVar(&options.binary, "binary", "", "program that the image runs")
	flags.StringVar(&options.entrypoint, "entrypoint", "", "path of the program in the image (default /usr/local/bin/NAME)")
	flags.StringArrayVar(&options.arguments, "argument", nil, "argument of the program where a pod names none")
	flags.StringVar(&options.user, "user", "65532", "user id, and group id, that the program runs as")
	flags.StringArrayVar(&options.files, "file", nil, "another file, SOURCE:TARGET")
	flags.BoolVar(&options.libraries, "with-libraries", false, "add the shared libraries that the program needs")
	flags.StringVar(&options.out, "out", "", "tar file to write")
	for _, required := range []string{"name", "binary", "out"} {
		// The only fault could be that there is no such flag.
		_ = command.MarkFlagRequired(required)
	}
	return command
}

func (o *imageOptions) run(command *cobra.Command) error {
	spec, err := o.spec(command)
	if err != nil {
		return err
	}
	current, err := spec.Current(o.out)
	if err != nil {
		return err
	}
	if current {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(o.out), 0o755); err != nil {
		return err
	}
	result, err := spec.Write(o.out)
	if err != nil {
		return err
	}
	say("image %s: %.1f MB, %s", o.name, float64(result.Size)/1e6, result.Digest)
	return spec.Stamp(o.out)
}

func (o *imageOptions) spec(command *cobra.Command) (image.Spec, error) {
	if _, err := strconv.ParseUint(o.user, 10, 31); err != nil {
		return image.Spec{}, fmt.Errorf("user %q: must be a number, because Kubernetes checks that it is not root", o.user)
	}
	entrypoint := o.entrypoint
	if entrypoint == "" {
		entrypoint = path.Join("/usr/local/bin", filepath.Base(o.binary))
	}
	spec := image.Spec{
		Name: o.name, Entrypoint: []string{entrypoint}, Arguments: o.arguments, User: o.user,
		Files: map[string]string{},
	}
	files := append([]string{o.binary + ":" + entrypoint}, o.files...)
	for _, file := range files {
		if err := spec.AddFile(file); err != nil {
			return image.Spec{}, err
		}
	}
	if o.libraries {
		if err := spec.AddLibraries(command.Context(), o.binary); err != nil {
			return image.Spec{}, err
		}
	}
	return spec, nil
}

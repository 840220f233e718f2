package command

import (
	"cmp"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// NewVersion is `version`.
func NewVersion(o Options) *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version of this program",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			_, err := fmt.Fprintln(o.Out, buildVersion(o.Version))
			return err
		},
	}
}

// buildVersion is the version, and the Go it was built with. Without one from
// the linker it is what the toolchain recorded: the module's and the revision.
func buildVersion(linked string) string {
	version, revision := cmp.Or(linked, "(devel)"), ""
	if info, found := debug.ReadBuildInfo(); found && linked == "" {
		version = cmp.Or(info.Main.Version, version)
		for _, setting := range info.Settings {
			if setting.Key == "vcs.revision" {
				revision = " " + setting.Value
			}
		}
	}
	return fmt.Sprintf("%s%s %s %s/%s", version, revision, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}

// Package session is what a person does in one sitting with the program, without
// a terminal: it reads the world and follows it, asks endpoints for their
// certificates, drafts changes, refuses those that would not bite or would fail
// closed by surprise, makes them, and follows the Envoys' acknowledgements. The
// verbs of plugin/command and the screens of plugin/tui are shells around it; it
// prints nothing, asks nobody, and hands out values whose texts are clean.
package session

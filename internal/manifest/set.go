package manifest

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/backendtls/backendtls/internal/gwapi"
)

// Set is what a number of files say together. It is immutable.
type Set struct {
	// objects are those in effect, with a Value.
	objects map[gwapi.Key]Object
	// good are the last good versions of every object that is still given.
	good    map[gwapi.Key]Object
	faults  map[gwapi.Key]string
	places  map[gwapi.Key][]Object
	ignored map[string]int

	statuses    Statuses
	generations map[gwapi.Key]int64
}

// Combine makes one Set of files. Last is what was read before, nil at first:
//   - an object that is invalid, or given more than once, stays as it last was;
//   - one that never was good is absent, or, where its kind Decides, there with
//     what could be made out of it and a fault, so that trust fails closed;
//   - one that is given more than once and whose kind Decides always has a
//     fault: nobody can say which of them is meant;
//   - a BackendTLSPolicy that is gone while a file is Unusable stays as it last
//     was: it may have moved there, and without it there would be plaintext.
//
// The problems are those of the files and of duplicates, sorted by place.
func Combine(parsed []Parsed, last *Set) (*Set, []Problem) {
	set := &Set{
		objects: map[gwapi.Key]Object{}, good: map[gwapi.Key]Object{},
		faults: map[gwapi.Key]string{}, places: map[gwapi.Key][]Object{}, ignored: map[string]int{},
	}
	var problems []Problem
	blind := false
	for _, file := range parsed {
		blind = blind || file.Unusable()
		problems = append(problems, file.Problems...)
		for kind, n := range file.Ignored {
			set.ignored[kind] += n
		}
		for _, object := range file.Objects {
			set.places[object.Key] = append(set.places[object.Key], object)
		}
	}
	for key, places := range set.places {
		if last != nil {
			if good, found := last.good[key]; found {
				set.good[key] = good
			}
		}
		if len(places) == 1 {
			set.one(places[0])
			continue
		}
		problem := duplicate(places)
		problems = append(problems, problem)
		set.several(places, problem.Message)
	}
	if blind && last != nil {
		set.keepPolicies(last)
	}
	sortProblems(problems)
	return set, problems
}

// keepPolicies keeps the policies of last that no file gives any more.
func (s *Set) keepPolicies(last *Set) {
	for key, object := range last.objects {
		if key.Kind != gwapi.KindBackendTLSPolicy || len(s.places[key]) > 0 {
			continue
		}
		s.objects[key] = object
		if good, found := last.good[key]; found {
			s.good[key] = good
		}
		if fault, found := last.faults[key]; found {
			s.faults[key] = fault
		}
	}
}

func (s *Set) one(object Object) {
	if object.Good() {
		s.objects[object.Key], s.good[object.Key] = object, object
		return
	}
	if good, found := s.good[object.Key]; found {
		s.objects[object.Key] = good
		return
	}
	if object.Value != nil {
		s.objects[object.Key] = object
		s.faults[object.Key] = object.Fault()
	}
}

func (s *Set) several(places []Object, message string) {
	key := places[0].Key
	if value := both(places); value != nil {
		object := places[0]
		object.Value = value
		s.objects[key] = object
		s.faults[key] = message
		return
	}
	if good, found := s.good[key]; found {
		s.objects[key] = good
	}
}

// duplicate stands at the second place and names them all.
func duplicate(places []Object) Problem {
	named := make([]string, len(places))
	for i, object := range places {
		named[i] = object.Place()
	}
	last := len(named) - 1
	times := "twice"
	if len(places) > 2 {
		times = fmt.Sprintf("%d times", len(places))
	}
	return Problem{
		File: places[1].File, Line: places[1].Line, Class: Duplicate, Object: places[0].Key,
		Message: fmt.Sprintf("given %s, in %s and %s; keep one of them", times,
			strings.Join(named[:last], ", "), named[last]),
	}
}

// Get is the object in effect: a good one, or one with a fault whose kind
// Decides.
func (s *Set) Get(key gwapi.Key) (Object, bool) {
	object, found := s.objects[key]
	return object, found
}

// Places are all places where the object is given, in the order of the files.
func (s *Set) Places(key gwapi.Key) []Object { return s.places[key] }

// Keys lists the objects in effect.
func (s *Set) Keys() []gwapi.Key {
	return slices.SortedFunc(maps.Keys(s.objects), gwapi.CompareKeys)
}

// Ignored counts the objects of other kinds, by KIND.GROUP.
func (s *Set) Ignored() map[string]int { return s.ignored }

// SameObjects says whether two Sets have the same objects and faults, leaving
// EndpointSlices aside.
func (s *Set) SameObjects(other *Set) bool {
	return maps.Equal(s.faults, other.faults) && s.covers(other) && other.covers(s)
}

func (s *Set) covers(other *Set) bool {
	for key, object := range other.objects {
		if key.Kind == gwapi.KindEndpointSlice {
			continue
		}
		if mine, found := s.objects[key]; !found || mine.Digest != object.Digest {
			return false
		}
	}
	return true
}

// EndpointSlices lists the slices of each Service, by name.
func (s *Set) EndpointSlices() map[types.NamespacedName][]*discoveryv1.EndpointSlice {
	services := map[types.NamespacedName][]*discoveryv1.EndpointSlice{}
	for _, object := range s.objects {
		slice, ok := object.Value.(*discoveryv1.EndpointSlice)
		if !ok || slice.Labels[discoveryv1.LabelServiceName] == "" {
			continue
		}
		name := types.NamespacedName{Namespace: slice.Namespace, Name: slice.Labels[discoveryv1.LabelServiceName]}
		services[name] = append(services[name], slice)
	}
	for _, list := range services {
		slices.SortFunc(list, func(a, b *discoveryv1.EndpointSlice) int { return strings.Compare(a.Name, b.Name) })
	}
	return services
}

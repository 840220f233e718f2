package probe

import "time"

// entry is what a queue orders: it says when it is due, and is told where it
// stands.
type entry interface {
	when() time.Time
	stand(index int)
}

// queue has what is due first at its head, as container/heap wants it.
type queue[T entry] []T

func (q queue[T]) Len() int           { return len(q) }
func (q queue[T]) Less(i, j int) bool { return q[i].when().Before(q[j].when()) }
func (q queue[T]) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].stand(i)
	q[j].stand(j)
}

// Push appends an entry.
func (q *queue[T]) Push(item any) {
	e, ok := item.(T)
	if !ok {
		return // Nothing else is ever pushed.
	}
	e.stand(len(*q))
	*q = append(*q, e)
}

// Pop removes the last entry.
func (q *queue[T]) Pop() any {
	last := len(*q) - 1
	e := (*q)[last]
	clear((*q)[last:])
	*q = (*q)[:last]
	e.stand(-1)
	return e
}

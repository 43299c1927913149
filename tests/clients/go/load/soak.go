package main

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// soaking is what a long run of comings and goings did.
type soaking struct {
	Joins   int64 `json:"joins"`
	Failed  int64 `json:"failed"` // joins that did not succeed
	Tracks  int64 `json:"tracks"` // publications
	Heard   int64 `json:"heard"`  // visits in which something was received
	Visits  int64 `json:"visits"` // visits in which others were there to receive
	Packets int64 `json:"packets"`
}

// soak lets people come and go for the given time: each joins one of a few rooms, may publish, stays for some
// seconds and leaves. Everybody has left when it ends.
func soak() (*soaking, error) {
	result := &soaking{}
	end := time.Now().Add(*length)
	var everybody sync.WaitGroup
	for person := range *people {
		everybody.Add(1)
		go func() {
			defer everybody.Done()
			for visit := 0; time.Now().Before(end); visit++ {
				result.visit(person, visit)
			}
		}()
	}
	everybody.Wait()
	if result.Joins == 0 {
		return nil, fmt.Errorf("nobody could join")
	}
	return result, nil
}

func (s *soaking) visit(person, visit int) {
	seen := &viewer{}
	room := fmt.Sprintf("soak-%d", rand.IntN(max(1, *people/4)))
	guest, err := join(room, fmt.Sprintf("person-%d-%d", person, visit), seen.receive)
	if err != nil {
		atomic.AddInt64(&s.Failed, 1)
		time.Sleep(time.Second)
		return
	}
	defer guest.Disconnect()
	atomic.AddInt64(&s.Joins, 1)
	if rand.IntN(3) == 0 && publish(guest) == nil {
		atomic.AddInt64(&s.Tracks, 2)
	}
	time.Sleep(time.Duration(2000+rand.IntN(6000)) * time.Millisecond)
	got := total([]*viewer{seen}).packets
	atomic.AddInt64(&s.Packets, got)
	if len(guest.GetRemoteParticipants()) > 0 {
		atomic.AddInt64(&s.Visits, 1)
	}
	if got > 0 {
		atomic.AddInt64(&s.Heard, 1)
	}
}

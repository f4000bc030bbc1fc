// franz-go: a goroutine a partition, as the client's own examples have it, with one of two ways to commit.
//
//	franz each ORDER     one synchronous commit a record, after it was handled
//	franz marked ORDER   records are marked when they were handled, and what is marked is committed once a second
//
// ORDER is the JSON of bench/work.py; the last line of the output is the figures, as JSON.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

type order struct {
	Brokers string  `json:"brokers"`
	Topic   string  `json:"topic"`
	Group   string  `json:"group"`
	Seconds float64 `json:"seconds"`
	Timeout float64 `json:"timeout"`
	Spawned float64 `json:"spawned"`
	Shape   struct {
		Partitions int `json:"partitions"`
		Each       int `json:"each"`
	} `json:"shape"`
}

// tally ticks off each record as it is handled, until all are or the time is up, which begins with the first.
type tally struct {
	order   order
	total   int64
	seen    [][]bool // a partition has one writer, its goroutine
	count   atomic.Int64
	first   atomic.Int64 // on the monotonic clock, in nanoseconds
	ended   atomic.Bool
	end     chan struct{}
	counted int64
	last    int64
	before  float64 // seconds of CPU
	after   float64
	once    sync.Once
}

func newTally(given order) *tally {
	made := &tally{order: given, total: int64(given.Shape.Partitions * given.Shape.Each), end: make(chan struct{})}
	for range given.Shape.Partitions {
		made.seen = append(made.seen, make([]bool, given.Shape.Each))
	}
	return made
}

func (t *tally) note(record *kgo.Record) {
	t.seen[record.Partition][record.Offset] = true
	count := t.count.Add(1)
	if count == 1 {
		t.before = cpuSeconds()
		t.first.Store(monotonic())
	}
	if count%64 == 1 || count == t.total {
		t.look(count)
	}
}

func (t *tally) look(count int64) {
	first := t.first.Load()
	if first == 0 || t.ended.Load() {
		return
	}
	now := monotonic()
	if float64(now-first)/1e9 < t.order.Seconds && count < t.total {
		return
	}
	t.once.Do(func() {
		t.last, t.after, t.counted = now, cpuSeconds(), count
		t.ended.Store(true)
		close(t.end)
	})
}

func (t *tally) figures() (map[string]float64, error) {
	handled, distinct := t.count.Load(), int64(0)
	for _, partition := range t.seen {
		for _, seen := range partition {
			if seen {
				distinct++
			}
		}
	}
	if !t.ended.Load() || t.counted < 2 {
		return nil, fmt.Errorf("handled %d of %d records, and ended before its time", handled, t.total)
	}
	if distinct != handled {
		return nil, fmt.Errorf("handled %d records, but only %d different ones", handled, distinct)
	}
	seconds, records := float64(t.last-t.first.Load())/1e9, float64(t.counted-1)
	return map[string]float64{
		"msgs_per_s":       records / seconds,
		"cpu_us":           (t.after - t.before) / records * 1e6,
		"peak_mib":         peakMiB(),
		"seconds":          seconds,
		"records":          records,
		"handled":          float64(distinct),
		"startup_s":        float64(t.first.Load())/1e9 - t.order.Spawned,
		"cpu_of_process_s": t.after,
	}, nil
}

// consumer is the goroutine of one partition.
type consumer struct {
	client  *kgo.Client
	tally   *tally
	quit    chan struct{}
	done    chan struct{}
	records chan []*kgo.Record
}

func (c *consumer) run(handle func(*consumer, []*kgo.Record)) {
	defer close(c.done)
	for {
		select {
		case <-c.quit:
			return
		case records := <-c.records:
			handle(c, records)
		}
	}
}

func (c *consumer) stopping() bool {
	select {
	case <-c.quit:
		return true
	default:
		return c.tally.ended.Load()
	}
}

func commitEach(c *consumer, records []*kgo.Record) {
	for _, record := range records {
		if c.stopping() {
			return
		}
		c.tally.note(record)
		if err := c.client.CommitRecords(context.Background(), record); err != nil {
			fail(fmt.Errorf("a commit: %w", err))
		}
	}
}

func markBatch(c *consumer, records []*kgo.Record) {
	for at, record := range records {
		if c.tally.ended.Load() {
			records = records[:at]
			break
		}
		c.tally.note(record)
	}
	c.client.MarkCommitRecords(records...)
}

type group struct {
	tally     *tally
	handle    func(*consumer, []*kgo.Record)
	consumers map[int32]*consumer
}

func (g *group) assigned(_ context.Context, client *kgo.Client, assigned map[string][]int32) {
	for _, partitions := range assigned {
		for _, partition := range partitions {
			made := &consumer{client, g.tally, make(chan struct{}), make(chan struct{}), make(chan []*kgo.Record, 5)}
			g.consumers[partition] = made
			go made.run(g.handle)
		}
	}
}

func (g *group) lost(_ context.Context, _ *kgo.Client, lost map[string][]int32) {
	for _, partitions := range lost {
		for _, partition := range partitions {
			close(g.consumers[partition].quit)
		}
		for _, partition := range partitions {
			<-g.consumers[partition].done
			delete(g.consumers, partition)
		}
	}
}

func (g *group) revoked(ctx context.Context, client *kgo.Client, revoked map[string][]int32) {
	g.lost(ctx, client, revoked)
	if err := client.CommitMarkedOffsets(ctx); err != nil {
		fail(fmt.Errorf("the commit of a revoke: %w", err))
	}
}

func main() {
	if len(os.Args) != 3 {
		fail(fmt.Errorf("usage: franz each|marked ORDER"))
	}
	var given order
	if err := json.Unmarshal([]byte(os.Args[2]), &given); err != nil {
		fail(fmt.Errorf("ORDER: %w", err))
	}
	work := newTally(given)
	members := &group{tally: work, consumers: map[int32]*consumer{}}
	options := []kgo.Opt{
		kgo.SeedBrokers(strings.Split(given.Brokers, ",")...),
		kgo.ConsumerGroup(given.Group),
		kgo.ConsumeTopics(given.Topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.OnPartitionsAssigned(members.assigned),
		kgo.OnPartitionsLost(members.lost),
		kgo.BlockRebalanceOnPoll(),
	}
	switch os.Args[1] {
	case "each":
		members.handle = commitEach
		options = append(options, kgo.DisableAutoCommit(), kgo.OnPartitionsRevoked(members.lost))
	case "marked":
		members.handle = markBatch
		options = append(options, kgo.AutoCommitMarks(), kgo.AutoCommitInterval(time.Second),
			kgo.OnPartitionsRevoked(members.revoked))
	default:
		fail(fmt.Errorf("usage: franz each|marked ORDER"))
	}
	client, err := kgo.NewClient(options...)
	if err != nil {
		fail(err)
	}
	running, stop := context.WithCancel(context.Background())
	polled := make(chan struct{})
	go func() {
		defer close(polled)
		poll(running, client, members)
	}()
	select {
	case <-work.end:
	case <-time.After(time.Duration(given.Timeout * float64(time.Second))):
		fail(fmt.Errorf("not done within %g s", given.Timeout))
	}
	stop()
	<-polled // a partition is given back only while nobody polls
	client.Close()
	figures, err := work.figures()
	if err != nil {
		fail(err)
	}
	line, _ := json.Marshal(figures)
	fmt.Println(string(line))
}

func poll(running context.Context, client *kgo.Client, members *group) {
	defer client.AllowRebalance()
	for {
		fetches := client.PollRecords(running, 10000)
		if running.Err() != nil {
			return
		}
		fetches.EachError(func(_ string, partition int32, err error) {
			fail(fmt.Errorf("fetching partition %d: %w", partition, err))
		})
		fetches.EachPartition(func(found kgo.FetchTopicPartition) {
			to := members.consumers[found.Partition]
			select {
			case to.records <- found.Records:
			case <-members.tally.end:
			}
		})
		client.AllowRebalance()
	}
}

func cpuSeconds() float64 {
	total := 0.0
	for _, who := range []int{syscall.RUSAGE_SELF, syscall.RUSAGE_CHILDREN} {
		var used syscall.Rusage
		if err := syscall.Getrusage(who, &used); err != nil {
			fail(err)
		}
		total += float64(used.Utime.Nano()+used.Stime.Nano()) / 1e9
	}
	return total
}

// peakMiB reads Linux' own figure: getrusage's is inherited from the process that started this one.
func peakMiB() float64 {
	file, err := os.Open("/proc/self/status")
	if err != nil {
		return 0
	}
	defer file.Close()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		var kib float64
		if _, err := fmt.Sscanf(lines.Text(), "VmHWM: %f kB", &kib); err == nil {
			return kib / 1024
		}
	}
	return 0
}

func fail(err error) {
	fmt.Fprintf(os.Stderr, "error: %v\n", err)
	os.Exit(1)
}

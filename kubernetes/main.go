// SPDX-License-Identifier: Apache-2.0

// vgpu-device-plugin offers the tenants of a node's mediator, which are the sections [socket NAME]
// of vgpu.conf, to the node's kubelet. docs/kubernetes.md says how it is used.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"sort"
	"strings"
	"sync"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "vgpu/deviceplugin"
)

const (
	period   = 2 * time.Second  // between two looks at the mediator and at the kubelet's socket
	patience = 10 * time.Second // with each of them
	inside   = "/usr/lib/vgpu"  // where containers have the libraries
	kind     = "vgpu/tenant"    // of the CDI devices
)

var (
	control = flag.String("control", "/run/vgpu/control.sock",
		"the mediator's socket for vgpuctl")
	folder = flag.String("kubelet", "/var/lib/kubelet/device-plugins",
		"the kubelet's folder of device plugins")
	libraries = flag.String("libraries", "/usr/lib/vgpu",
		"the node's folder with libcuda.so.1 for containers")
	cdi = flag.String("cdi", "/var/run/cdi",
		"the folder for the CDI specification; empty for none")

	// What is a name both for Kubernetes (a resource) and for CDI (a device).
	name = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$`)
)

// A vGPU in the mediator's answer. Those of VMs have no socket.
type tenant struct {
	Name        string `json:"vgpu"`
	Pool        string `json:"pool"`
	Socket      string `json:"socket"`
	Size        uint64 `json:"size"` // bytes; 0: no limit
	Quarantined int    `json:"quarantined"`
}

// Named by pool and memory, as types of mdevs are.
func (t tenant) resource() string {
	if t.Size == 0 {
		return "vgpu/" + t.Pool
	}
	return fmt.Sprintf("vgpu/%s-%dM", t.Pool, t.Size>>20)
}

// What docs/containers.md says that a container needs. It cannot write into the folders.
func (t tenant) needs() (map[string]string, []*pb.Mount) {
	dir := filepath.Dir(t.Socket)
	return map[string]string{"VGPU_TRANSPORT": "unix:" + t.Socket, "LD_LIBRARY_PATH": inside},
		[]*pb.Mount{{HostPath: dir, ContainerPath: dir, ReadOnly: true},
			{HostPath: *libraries, ContainerPath: inside, ReadOnly: true}}
}

// Whether it can be offered, among all that the mediator has.
func (t tenant) fit(all []tenant) error {
	if !name.MatchString(t.Pool) || !name.MatchString(t.Name) {
		return errors.New("not offered, because its name or its pool's " +
			"is no name for Kubernetes")
	}
	dir := strings.TrimSuffix(filepath.Dir(t.Socket), "/") + "/"
	sockets := []string{*control}
	for _, other := range all {
		if other.Name != t.Name && other.Socket != "" {
			sockets = append(sockets, other.Socket)
		}
	}
	for _, other := range sockets {
		if strings.HasPrefix(other, dir) {
			return fmt.Errorf("not offered, because its folder %s also has %s",
				dir, other)
		}
	}
	return nil
}

func ask() ([]tenant, error) {
	var answer struct {
		Error string
		VGPUs []tenant
	}
	c, err := net.DialTimeout("unix", *control, patience)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	if _, err = c.Write([]byte(`{"request":"status"}`)); err != nil {
		return nil, err
	}
	if err = json.NewDecoder(c).Decode(&answer); err == nil && answer.Error != "" {
		err = errors.New(answer.Error)
	}
	return answer.VGPUs, err
}

// One line when an error begins or changes, and not again while it stays.
var said = map[string]string{}

func report(what string, err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	if text != "" && text != said[what] {
		log.Printf("%s: %s", what, text)
	}
	said[what] = text
}

// What is offered. The calls of the kubelet read it.
var offer = struct {
	sync.Mutex
	tenants []tenant
	up      bool          // the mediator answers
	cdi     bool          // the CDI specification has them
	changed chan struct{} // closed when these are others
}{changed: make(chan struct{})}

func look() {
	all, err := ask()
	report("mediator", err)
	tenants, up, named := offer.tenants, err == nil, offer.cdi
	if up {
		tenants = nil
		for _, t := range all {
			if t.Socket == "" || t.Name == "local" {
				continue
			}
			err := t.fit(all)
			report(t.Name, err)
			if err == nil {
				tenants = append(tenants, t)
			}
		}
		sort.Slice(tenants, func(i, k int) bool {
			return tenants[i].Name < tenants[k].Name
		})
		err = specify(tenants)
		report("CDI", err)
		named = *cdi != "" && err == nil
	}
	if up == offer.up && named == offer.cdi &&
		fmt.Sprint(tenants) == fmt.Sprint(offer.tenants) {
		return
	}
	offer.Lock()
	offer.tenants, offer.up, offer.cdi = tenants, up, named
	close(offer.changed)
	offer.changed = make(chan struct{})
	offer.Unlock()
}

// Write the CDI specification, which stays for containers that are started again later.
func specify(tenants []tenant) error {
	type object map[string]interface{}
	if *cdi == "" || len(tenants) == 0 {
		return nil
	}
	var devices []object
	for _, t := range tenants {
		var env []string
		var mounts []object
		envs, needed := t.needs()
		for k, v := range envs {
			env = append(env, k+"="+v)
		}
		sort.Strings(env)
		for _, m := range needed {
			mounts = append(mounts, object{"hostPath": m.HostPath,
				"containerPath": m.ContainerPath,
				"options":       []string{"bind", "nosuid", "nodev", "ro"}})
		}
		devices = append(devices, object{"name": t.Name,
			"containerEdits": object{"env": env, "mounts": mounts}})
	}
	text, err := json.MarshalIndent(object{"cdiVersion": "0.5.0", "kind": kind,
		"devices": devices}, "", "  ")
	if err != nil {
		return err
	}
	path := filepath.Join(*cdi, "vgpu-tenant.json")
	if old, err := os.ReadFile(path); err == nil && bytes.Equal(old, text) {
		return nil
	}
	if err = os.MkdirAll(*cdi, 0755); err != nil {
		return err
	}
	if err = os.WriteFile(path+".new", text, 0644); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// A resource, with a server of its own for the kubelet.
type resource struct {
	pb.UnimplementedDevicePluginServer
	name    string
	server  *grpc.Server
	kubelet os.FileInfo // the socket on which it is registered; nil: on none
}

func (r *resource) GetDevicePluginOptions(context.Context, *pb.Empty) (
	*pb.DevicePluginOptions, error) {
	return &pb.DevicePluginOptions{}, nil
}

func (r *resource) ListAndWatch(_ *pb.Empty, s pb.DevicePlugin_ListAndWatchServer) error {
	for {
		answer := &pb.ListAndWatchResponse{}
		offer.Lock()
		for _, t := range offer.tenants {
			health := "Unhealthy"
			if offer.up && t.Quarantined == 0 {
				health = "Healthy"
			}
			if t.resource() == r.name {
				answer.Devices = append(answer.Devices,
					&pb.Device{Id: t.Name, Health: health})
			}
		}
		changed := offer.changed
		offer.Unlock()
		if err := s.Send(answer); err != nil {
			return err
		}
		select {
		case <-changed:
		case <-s.Context().Done():
			return nil
		}
	}
}

// What a container needs to use a tenant; nil: there is none.
func (r *resource) allocate(id string) *pb.ContainerAllocateResponse {
	offer.Lock()
	defer offer.Unlock()
	for _, t := range offer.tenants {
		if t.Name == id && t.resource() == r.name {
			answer := &pb.ContainerAllocateResponse{}
			answer.Envs, answer.Mounts = t.needs()
			if offer.cdi {
				answer.CdiDevices = []*pb.CDIDevice{{Name: kind + "=" + t.Name}}
			}
			return answer
		}
	}
	return nil
}

func (r *resource) Allocate(_ context.Context, q *pb.AllocateRequest) (
	*pb.AllocateResponse, error) {
	answer := &pb.AllocateResponse{}
	for _, c := range q.ContainerRequests {
		if len(c.DevicesIds) != 1 {
			return nil, status.Errorf(codes.InvalidArgument,
				"a container can have one %s, and not %d, "+
					"because its programs use one socket",
				r.name, len(c.DevicesIds))
		}
		one := r.allocate(c.DevicesIds[0])
		if one == nil {
			return nil, status.Errorf(codes.NotFound,
				"the mediator has no tenant %s with %s", c.DevicesIds[0], r.name)
		}
		answer.ContainerResponses = append(answer.ContainerResponses, one)
	}
	return answer, nil
}

func (r *resource) stop() {
	if r.server != nil {
		r.server.Stop() // which removes the socket
	}
	r.server, r.kubelet = nil, nil
}

// Serve and register anew, if the kubelet's socket is not the one on which that was done: a kubelet
// that starts makes it anew, and removes all others in the folder.
func (r *resource) register() error {
	path := filepath.Join(*folder, "kubelet.sock")
	now, err := os.Stat(path)
	if err != nil {
		r.stop()
		return err
	}
	if r.kubelet != nil && os.SameFile(now, r.kubelet) &&
		now.ModTime().Equal(r.kubelet.ModTime()) {
		return nil
	}
	r.stop()
	endpoint := strings.ReplaceAll(r.name, "/", "-") + ".sock"
	mine := filepath.Join(*folder, endpoint)
	os.Remove(mine)
	listener, err := net.Listen("unix", mine)
	if err != nil {
		return err
	}
	r.server = grpc.NewServer()
	pb.RegisterDevicePluginServer(r.server, r)
	go r.server.Serve(listener)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c, err := grpc.DialContext(ctx, "unix:"+path, grpc.WithInsecure())
	if err == nil {
		defer c.Close()
		_, err = pb.NewRegistrationClient(c).Register(ctx, &pb.RegisterRequest{
			Version: "v1beta1", Endpoint: endpoint, ResourceName: r.name,
			Options: &pb.DevicePluginOptions{}})
	}
	if err != nil {
		r.stop()
		return fmt.Errorf("kubelet: %s: %v", path, err)
	}
	r.kubelet = now
	log.Printf("%s: registered", r.name)
	return nil
}

func main() {
	log.SetFlags(0)
	log.SetPrefix("vgpu-device-plugin: ")
	flag.Parse()
	if flag.NArg() > 0 {
		log.Printf("%s: not an option", flag.Arg(0))
		os.Exit(2)
	}
	end := make(chan os.Signal, 1)
	signal.Notify(end, syscall.SIGTERM, syscall.SIGINT)
	resources := map[string]*resource{}
	for {
		look()
		for _, t := range offer.tenants {
			if n := t.resource(); resources[n] == nil {
				resources[n] = &resource{name: n}
			}
		}
		for _, r := range resources {
			report(r.name, r.register())
		}
		select {
		case <-time.After(period):
		case <-end:
			for _, r := range resources {
				r.stop()
			}
			return
		}
	}
}

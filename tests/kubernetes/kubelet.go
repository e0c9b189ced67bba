// SPDX-License-Identifier: Apache-2.0

// kubelet FOLDER [REFUSAL] stands in for a kubelet: it empties its folder of device plugins, takes
// registrations there (or refuses them), and watches each plugin. It prints a JSON object on a
// line for all that happens, and reads `RESOURCE DEVICE...` on lines, which it allocates.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"log"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"google.golang.org/grpc"

	pb "vgpu/deviceplugin"
)

type object map[string]interface{}

var (
	lock    sync.Mutex
	plugins = map[string]pb.DevicePluginClient{}
)

func say(o object) {
	text, err := json.Marshal(o)
	if err != nil {
		log.Fatal(err)
	}
	lock.Lock()
	defer lock.Unlock()
	os.Stdout.Write(append(text, '\n'))
}

type kubelet struct {
	pb.UnimplementedRegistrationServer
	folder, refusal string
}

func (k *kubelet) Register(_ context.Context, q *pb.RegisterRequest) (*pb.Empty, error) {
	say(object{"registers": q.ResourceName, "version": q.Version})
	if k.refusal != "" {
		return nil, errors.New(k.refusal)
	}
	go k.watch(q.ResourceName, filepath.Join(k.folder, q.Endpoint))
	return &pb.Empty{}, nil
}

func (k *kubelet) watch(name, path string) {
	c, err := grpc.Dial("unix:"+path, grpc.WithInsecure())
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	plugin := pb.NewDevicePluginClient(c)
	if _, err = plugin.GetDevicePluginOptions(context.Background(), &pb.Empty{}); err != nil {
		log.Fatal(err)
	}
	lock.Lock()
	plugins[name] = plugin
	lock.Unlock()
	stream, err := plugin.ListAndWatch(context.Background(), &pb.Empty{})
	for err == nil {
		var list *pb.ListAndWatchResponse
		if list, err = stream.Recv(); err == nil {
			devices := object{}
			for _, d := range list.Devices {
				devices[d.Id] = d.Health
			}
			say(object{"lists": name, "devices": devices})
		}
	}
	say(object{"ended": name})
}

func allocate(name string, devices []string) {
	lock.Lock()
	plugin := plugins[name]
	lock.Unlock()
	got, err := plugin.Allocate(context.Background(), &pb.AllocateRequest{
		ContainerRequests: []*pb.ContainerAllocateRequest{{DevicesIds: devices}}})
	if err != nil {
		say(object{"refused": err.Error()})
		return
	}
	say(object{"allocated": got.ContainerResponses})
}

func main() {
	k := &kubelet{folder: os.Args[1], refusal: strings.Join(os.Args[2:], " ")}
	old, _ := filepath.Glob(filepath.Join(k.folder, "*"))
	for _, path := range old {
		os.Remove(path)
	}
	listener, err := net.Listen("unix", filepath.Join(k.folder, "kubelet.sock"))
	if err != nil {
		log.Fatal(err)
	}
	server := grpc.NewServer()
	pb.RegisterRegistrationServer(server, k)
	go server.Serve(listener)
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		words := strings.Fields(lines.Text())
		allocate(words[0], words[1:])
	}
}

// An RTSP camera for the virtual machine: camera PORT FILE.ts serves the file in a loop, at its own pace, as rtsp://HOST:PORT/cam.
// In C, since an emulated machine takes its time over an interpreter; tests/data/rtsp_server.py is the one for tests that have no machine.
#include <gst/gst.h>
#include <gst/rtsp-server/rtsp-server.h>
#include <stdio.h>

int main(int argc, char **argv) {
  gst_init(&argc, &argv);
  if (argc != 3) {
    fprintf(stderr, "usage: camera PORT FILE.ts\n");
    return 64;
  }
  GstRTSPServer *server = gst_rtsp_server_new();
  gst_rtsp_server_set_address(server, "0.0.0.0");
  gst_rtsp_server_set_service(server, argv[1]);
  GstRTSPMediaFactory *factory = gst_rtsp_media_factory_new();
  gchar *launch = g_strdup_printf(
      "( multifilesrc location=\"%s\" loop=true ! tsdemux ! h264parse config-interval=-1 ! rtph264pay name=pay0 pt=96 )", argv[2]);
  gst_rtsp_media_factory_set_launch(factory, launch);
  gst_rtsp_media_factory_set_shared(factory, TRUE);
  gst_rtsp_mount_points_add_factory(gst_rtsp_server_get_mount_points(server), "/cam", factory);
  if (!gst_rtsp_server_attach(server, NULL)) {
    fprintf(stderr, "cannot listen on port %s\n", argv[1]);
    return 1;
  }
  g_main_loop_run(g_main_loop_new(NULL, FALSE));
}

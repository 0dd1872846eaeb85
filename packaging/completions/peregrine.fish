# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_peregrine_global_optspecs
    string join \n h/help V/version
end

function __fish_peregrine_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_peregrine_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_peregrine_using_subcommand
    set -l cmd (__fish_peregrine_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c peregrine -n "__fish_peregrine_needs_command" -s h -l help -d 'Print help'
complete -c peregrine -n "__fish_peregrine_needs_command" -s V -l version -d 'Print version'
complete -c peregrine -n "__fish_peregrine_needs_command" -f -a "run" -d 'Run the daemon: cameras in, messages out, until a signal ends it'
complete -c peregrine -n "__fish_peregrine_needs_command" -f -a "check" -d 'Checks a configuration file and tells everything that is wrong with it'
complete -c peregrine -n "__fish_peregrine_needs_command" -f -a "probe" -d 'Shows what this device offers: engines, decoders, sensors, processor features'
complete -c peregrine -n "__fish_peregrine_needs_command" -f -a "replay" -d 'Send a recorded clip through the whole pipeline: every frame, no drop, as fast as the models go. What would be published is written as JSON Lines, each with its topic: detections, tracks, and the events of zones and lines. Nothing is sent or kept, and no alert is raised'
complete -c peregrine -n "__fish_peregrine_needs_command" -f -a "detect" -d 'Finds objects in still pictures: JSON Lines on stdout, or a COCO results file'
complete -c peregrine -n "__fish_peregrine_needs_command" -f -a "track" -d 'Follow the objects of a MOTChallenge detection file with SORT'
complete -c peregrine -n "__fish_peregrine_needs_command" -f -a "bench" -d 'Measures a model on an engine: latency, throughput, and the knee over a range of batches'
complete -c peregrine -n "__fish_peregrine_needs_command" -f -a "model" -d 'Lists, verifies, fetches, calibrates and builds models'
complete -c peregrine -n "__fish_peregrine_needs_command" -f -a "events" -d 'Shows events that are kept on this device, oldest first: whether or not the broker has them, whether or not the daemon runs'
complete -c peregrine -n "__fish_peregrine_needs_command" -f -a "capacity" -d 'Find how many cameras this device carries within a latency, by measuring: pictures are sent through schedule, models, trackers and rules as the configuration has them, by more and more cameras. Decoding is not in it; with --video its cost is told beside it'
complete -c peregrine -n "__fish_peregrine_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c peregrine -n "__fish_peregrine_using_subcommand run" -l config -d 'The configuration file' -r -F
complete -c peregrine -n "__fish_peregrine_using_subcommand run" -s h -l help -d 'Print help'
complete -c peregrine -n "__fish_peregrine_using_subcommand check" -l config -d 'The configuration file' -r -F
complete -c peregrine -n "__fish_peregrine_using_subcommand check" -l print -d 'Shows the configuration with every default filled in; secrets are hidden'
complete -c peregrine -n "__fish_peregrine_using_subcommand check" -s h -l help -d 'Print help'
complete -c peregrine -n "__fish_peregrine_using_subcommand probe" -l config -d 'A configuration whose `[monitor] ignore_sensors` is shown' -r -F
complete -c peregrine -n "__fish_peregrine_using_subcommand probe" -l root -d 'Reads the sensors of a tree that was recorded on another board: the folder that holds its sys, proc, etc, var and dev' -r -F
complete -c peregrine -n "__fish_peregrine_using_subcommand probe" -l json -d 'One JSON object'
complete -c peregrine -n "__fish_peregrine_using_subcommand probe" -s h -l help -d 'Print help'
complete -c peregrine -n "__fish_peregrine_using_subcommand replay" -l config -d 'The configuration; its cameras are not opened. Without it: defaults' -r -F
complete -c peregrine -n "__fish_peregrine_using_subcommand replay" -l out -d 'Where the messages go, one a line; stdout if not given' -r -F
complete -c peregrine -n "__fish_peregrine_using_subcommand replay" -l camera -d 'The camera\'s name in the messages; where the configuration knows it, its zones and lines are watched in the clip' -r
complete -c peregrine -n "__fish_peregrine_using_subcommand replay" -l model -d 'Use this model instead of the configuration\'s' -r
complete -c peregrine -n "__fish_peregrine_using_subcommand replay" -l annotate -d 'Also write a video with boxes, numbers and labels drawn in, and the masks of the configuration\'s camera of that name' -r -F
complete -c peregrine -n "__fish_peregrine_using_subcommand replay" -l mot -d 'Also write the tracks in MOTChallenge text' -r -F
complete -c peregrine -n "__fish_peregrine_using_subcommand replay" -l timings -d 'Print how long each stage took to stderr'
complete -c peregrine -n "__fish_peregrine_using_subcommand replay" -s h -l help -d 'Print help'
complete -c peregrine -n "__fish_peregrine_using_subcommand detect" -l model -d 'A name from the manifest (see `peregrine model list`), or an ONNX file' -r
complete -c peregrine -n "__fish_peregrine_using_subcommand detect" -l engine -d 'What runs it' -r -f -a "auto\t'The best that this device has'
int8\t'Peregrine\'s own 8-bit CPU engine'
tract\t'tract, on the CPU'
tensorrt\t'TensorRT, on an NVIDIA GPU'"
complete -c peregrine -n "__fish_peregrine_using_subcommand detect" -l threads -d 'Threads of the engine [default: one for each processor]' -r
complete -c peregrine -n "__fish_peregrine_using_subcommand detect" -l device -d 'Number of the GPU (engine tensorrt)' -r
complete -c peregrine -n "__fish_peregrine_using_subcommand detect" -l precision -d 'Numbers in which the GPU computes (engine tensorrt)' -r -f -a "auto\t'8 bits where the model\'s file has scales for them, else 16'
int8\t'8 bits; a model without scales is calibrated'
fp16\t'16-bit floats'
fp32\t'32-bit floats'"
complete -c peregrine -n "__fish_peregrine_using_subcommand detect" -l state -d 'Folder of what is kept; engines that were built lie in its folder `engines` [default: $PEREGRINE_STATE, else /var/lib/peregrine]' -r -F
complete -c peregrine -n "__fish_peregrine_using_subcommand detect" -l models -d 'Folder of the models [default: $PEREGRINE_MODELS, else /usr/share/peregrine/models]' -r -F
complete -c peregrine -n "__fish_peregrine_using_subcommand detect" -l conf -d 'Least score of a detection, 0 to 1 [default: the model\'s own; with --coco 0.001]' -r
complete -c peregrine -n "__fish_peregrine_using_subcommand detect" -l iou -d 'Overlap above which the weaker of two boxes of one class goes, 0 to 1 [default: the model\'s own; with --coco 0.7]' -r
complete -c peregrine -n "__fish_peregrine_using_subcommand detect" -l class -d 'Report this class only; may be given several times' -r
complete -c peregrine -n "__fish_peregrine_using_subcommand detect" -l coco -d 'Write COCO results here: category ids 0 to 79, image_id the number in the file\'s name' -r -F
complete -c peregrine -n "__fish_peregrine_using_subcommand detect" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c peregrine -n "__fish_peregrine_using_subcommand track" -l out -d 'Where the tracks go, in the same format [default: standard output]' -r -F
complete -c peregrine -n "__fish_peregrine_using_subcommand track" -l max-age -d 'Frames that a track survives without a detection' -r
complete -c peregrine -n "__fish_peregrine_using_subcommand track" -l min-hits -d 'Detections in a row that confirm a track' -r
complete -c peregrine -n "__fish_peregrine_using_subcommand track" -l iou -d 'Least overlap (intersection over union, 0 to 1) that continues a track' -r
complete -c peregrine -n "__fish_peregrine_using_subcommand track" -s h -l help -d 'Print help'
complete -c peregrine -n "__fish_peregrine_using_subcommand bench" -l model -d 'A name from the manifest (see `peregrine model list`), or an ONNX file' -r
complete -c peregrine -n "__fish_peregrine_using_subcommand bench" -l engine -d 'What runs it' -r -f -a "auto\t'The best that this device has'
int8\t'Peregrine\'s own 8-bit CPU engine'
tract\t'tract, on the CPU'
tensorrt\t'TensorRT, on an NVIDIA GPU'"
complete -c peregrine -n "__fish_peregrine_using_subcommand bench" -l threads -d 'Threads of the engine [default: one for each processor]' -r
complete -c peregrine -n "__fish_peregrine_using_subcommand bench" -l device -d 'Number of the GPU (engine tensorrt)' -r
complete -c peregrine -n "__fish_peregrine_using_subcommand bench" -l precision -d 'Numbers in which the GPU computes (engine tensorrt)' -r -f -a "auto\t'8 bits where the model\'s file has scales for them, else 16'
int8\t'8 bits; a model without scales is calibrated'
fp16\t'16-bit floats'
fp32\t'32-bit floats'"
complete -c peregrine -n "__fish_peregrine_using_subcommand bench" -l state -d 'Folder of what is kept; engines that were built lie in its folder `engines` [default: $PEREGRINE_STATE, else /var/lib/peregrine]' -r -F
complete -c peregrine -n "__fish_peregrine_using_subcommand bench" -l models -d 'Folder of the models [default: $PEREGRINE_MODELS, else /usr/share/peregrine/models]' -r -F
complete -c peregrine -n "__fish_peregrine_using_subcommand bench" -l batch -d 'Inputs of one run: a number, or a range such as 1..8, each of which is measured' -r
complete -c peregrine -n "__fish_peregrine_using_subcommand bench" -l cameras -d 'Instead of the model alone, measures the way from a camera\'s ring to its result under the load of so many cameras' -r
complete -c peregrine -n "__fish_peregrine_using_subcommand bench" -l fps -d 'Frames a second of each of these cameras [default: 5]' -r
complete -c peregrine -n "__fish_peregrine_using_subcommand bench" -l seconds -d 'How long each batch, or each count of cameras, is measured' -r
complete -c peregrine -n "__fish_peregrine_using_subcommand bench" -l whole -d 'Of a detector, the whole output tensor is computed, as other runtimes do; else only what the daemon would read of it'
complete -c peregrine -n "__fish_peregrine_using_subcommand bench" -l layers -d 'Also measures each layer alone: time, share, products and speed (engine int8)'
complete -c peregrine -n "__fish_peregrine_using_subcommand bench" -l explain -d 'Also tells what of the model is computed how, and why (engine int8)'
complete -c peregrine -n "__fish_peregrine_using_subcommand bench" -l json -d 'Print JSON'
complete -c peregrine -n "__fish_peregrine_using_subcommand bench" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c peregrine -n "__fish_peregrine_using_subcommand model; and not __fish_seen_subcommand_from list verify fetch calibrate build help" -l models -d 'Folder of the models [default: $PEREGRINE_MODELS, else /usr/share/peregrine/models]' -r -F
complete -c peregrine -n "__fish_peregrine_using_subcommand model; and not __fish_seen_subcommand_from list verify fetch calibrate build help" -s h -l help -d 'Print help'
complete -c peregrine -n "__fish_peregrine_using_subcommand model; and not __fish_seen_subcommand_from list verify fetch calibrate build help" -f -a "list" -d 'Show the models that the manifest knows and whether they are here'
complete -c peregrine -n "__fish_peregrine_using_subcommand model; and not __fish_seen_subcommand_from list verify fetch calibrate build help" -f -a "verify" -d 'Compare the files that are here with the manifest\'s checksums'
complete -c peregrine -n "__fish_peregrine_using_subcommand model; and not __fish_seen_subcommand_from list verify fetch calibrate build help" -f -a "fetch" -d 'Download models, or say how to get them'
complete -c peregrine -n "__fish_peregrine_using_subcommand model; and not __fish_seen_subcommand_from list verify fetch calibrate build help" -f -a "calibrate" -d 'Measure on pictures between which values a model\'s tensors lie, and write it beside the model'
complete -c peregrine -n "__fish_peregrine_using_subcommand model; and not __fish_seen_subcommand_from list verify fetch calibrate build help" -f -a "build" -d 'Build engines for this device\'s NVIDIA GPU ahead of time, which takes minutes'
complete -c peregrine -n "__fish_peregrine_using_subcommand model; and not __fish_seen_subcommand_from list verify fetch calibrate build help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c peregrine -n "__fish_peregrine_using_subcommand model; and __fish_seen_subcommand_from list" -l models -d 'Folder of the models [default: $PEREGRINE_MODELS, else /usr/share/peregrine/models]' -r -F
complete -c peregrine -n "__fish_peregrine_using_subcommand model; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help'
complete -c peregrine -n "__fish_peregrine_using_subcommand model; and __fish_seen_subcommand_from verify" -l models -d 'Folder of the models [default: $PEREGRINE_MODELS, else /usr/share/peregrine/models]' -r -F
complete -c peregrine -n "__fish_peregrine_using_subcommand model; and __fish_seen_subcommand_from verify" -s h -l help -d 'Print help'
complete -c peregrine -n "__fish_peregrine_using_subcommand model; and __fish_seen_subcommand_from fetch" -l models -d 'Folder of the models [default: $PEREGRINE_MODELS, else /usr/share/peregrine/models]' -r -F
complete -c peregrine -n "__fish_peregrine_using_subcommand model; and __fish_seen_subcommand_from fetch" -l accept-licence -d 'Accept the licences shown; without it licences such as the AGPL are asked about'
complete -c peregrine -n "__fish_peregrine_using_subcommand model; and __fish_seen_subcommand_from fetch" -s h -l help -d 'Print help'
complete -c peregrine -n "__fish_peregrine_using_subcommand model; and __fish_seen_subcommand_from calibrate" -l images -d 'Folder of JPEG or PNG files like those that the model will see; a classifier\'s are crops' -r -F
complete -c peregrine -n "__fish_peregrine_using_subcommand model; and __fish_seen_subcommand_from calibrate" -l limit -d 'Pictures to look at; of more, evenly spaced ones are taken in the order of their names' -r
complete -c peregrine -n "__fish_peregrine_using_subcommand model; and __fish_seen_subcommand_from calibrate" -l output -d 'Where to write [default: beside the model, MODEL.calibration.json]' -r -F
complete -c peregrine -n "__fish_peregrine_using_subcommand model; and __fish_seen_subcommand_from calibrate" -l threads -d 'Threads for a run [default: one for each processor]' -r
complete -c peregrine -n "__fish_peregrine_using_subcommand model; and __fish_seen_subcommand_from calibrate" -l models -d 'Folder of the models [default: $PEREGRINE_MODELS, else /usr/share/peregrine/models]' -r -F
complete -c peregrine -n "__fish_peregrine_using_subcommand model; and __fish_seen_subcommand_from calibrate" -l json -d 'Print what was done as JSON'
complete -c peregrine -n "__fish_peregrine_using_subcommand model; and __fish_seen_subcommand_from calibrate" -s h -l help -d 'Print help'
complete -c peregrine -n "__fish_peregrine_using_subcommand model; and __fish_seen_subcommand_from build" -l config -d 'Build what the daemon with this configuration will run, as it will run it' -r -F
complete -c peregrine -n "__fish_peregrine_using_subcommand model; and __fish_seen_subcommand_from build" -l batch -d 'Pictures of one run, at most, where the model leaves their number open' -r
complete -c peregrine -n "__fish_peregrine_using_subcommand model; and __fish_seen_subcommand_from build" -l images -d 'Folder of JPEG or PNG files to calibrate on, for 8 bits and a model without scales; builds anew in any case' -r -F
complete -c peregrine -n "__fish_peregrine_using_subcommand model; and __fish_seen_subcommand_from build" -l device -d 'Number of the GPU (engine tensorrt)' -r
complete -c peregrine -n "__fish_peregrine_using_subcommand model; and __fish_seen_subcommand_from build" -l precision -d 'Numbers in which the GPU computes (engine tensorrt)' -r -f -a "auto\t'8 bits where the model\'s file has scales for them, else 16'
int8\t'8 bits; a model without scales is calibrated'
fp16\t'16-bit floats'
fp32\t'32-bit floats'"
complete -c peregrine -n "__fish_peregrine_using_subcommand model; and __fish_seen_subcommand_from build" -l state -d 'Folder of what is kept; engines that were built lie in its folder `engines` [default: $PEREGRINE_STATE, else /var/lib/peregrine]' -r -F
complete -c peregrine -n "__fish_peregrine_using_subcommand model; and __fish_seen_subcommand_from build" -l models -d 'Folder of the models [default: $PEREGRINE_MODELS, else /usr/share/peregrine/models]' -r -F
complete -c peregrine -n "__fish_peregrine_using_subcommand model; and __fish_seen_subcommand_from build" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c peregrine -n "__fish_peregrine_using_subcommand model; and __fish_seen_subcommand_from help" -f -a "list" -d 'Show the models that the manifest knows and whether they are here'
complete -c peregrine -n "__fish_peregrine_using_subcommand model; and __fish_seen_subcommand_from help" -f -a "verify" -d 'Compare the files that are here with the manifest\'s checksums'
complete -c peregrine -n "__fish_peregrine_using_subcommand model; and __fish_seen_subcommand_from help" -f -a "fetch" -d 'Download models, or say how to get them'
complete -c peregrine -n "__fish_peregrine_using_subcommand model; and __fish_seen_subcommand_from help" -f -a "calibrate" -d 'Measure on pictures between which values a model\'s tensors lie, and write it beside the model'
complete -c peregrine -n "__fish_peregrine_using_subcommand model; and __fish_seen_subcommand_from help" -f -a "build" -d 'Build engines for this device\'s NVIDIA GPU ahead of time, which takes minutes'
complete -c peregrine -n "__fish_peregrine_using_subcommand model; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c peregrine -n "__fish_peregrine_using_subcommand events" -l config -d 'The configuration file' -r -F
complete -c peregrine -n "__fish_peregrine_using_subcommand events" -l dir -d 'The folder of the events, in place of the one that the configuration names; then no configuration is needed' -r -F
complete -c peregrine -n "__fish_peregrine_using_subcommand events" -l since -d 'Only what happened then or later: "2026-11-21T15:04:05Z", or how long ago: 90s, 15m, 2h, 3d' -r
complete -c peregrine -n "__fish_peregrine_using_subcommand events" -l camera -d 'Only what this camera saw' -r
complete -c peregrine -n "__fish_peregrine_using_subcommand events" -l type -d 'Only events of this type' -r -f -a "appeared\t''
gone\t''
entered\t''
left\t''
dwell\t''
dwell_end\t''
crossed\t''
occupancy\t''
crowd\t''
crowd_end\t''
count\t''
stopped\t''
moving\t''
alert_raised\t''
alert_cleared\t''
lost\t''
budget_step\t''"
complete -c peregrine -n "__fish_peregrine_using_subcommand events" -l device -d 'The device\'s name in JSON, in place of the configuration\'s: for a folder that comes from another device' -r
complete -c peregrine -n "__fish_peregrine_using_subcommand events" -l json -d 'One JSON object a line, the same that went over MQTT'
complete -c peregrine -n "__fish_peregrine_using_subcommand events" -s h -l help -d 'Print help'
complete -c peregrine -n "__fish_peregrine_using_subcommand capacity" -l config -d 'The same' -r -F
complete -c peregrine -n "__fish_peregrine_using_subcommand capacity" -l p95 -d 'From capture to result, 95 of 100 frames shall take less than this: 100ms, 0.2s' -r
complete -c peregrine -n "__fish_peregrine_using_subcommand capacity" -l fps -d 'Frames a second of each camera [default: the configuration\'s highest detect_fps, else 5]' -r
complete -c peregrine -n "__fish_peregrine_using_subcommand capacity" -l mode -d 'What is sent' -r -f -a "single\t'One camera, one frame after the other: how fast it goes'
burst\t'All cameras at the same moment'
sustained\t'Each camera in its own phase; the answer is held for longer'"
complete -c peregrine -n "__fish_peregrine_using_subcommand capacity" -l model -d 'Detectors to measure, the best liked first [default: the configuration\'s]' -r
complete -c peregrine -n "__fish_peregrine_using_subcommand capacity" -l engine -d 'What runs the detector [default: the configuration\'s]' -r -f -a "auto\t'The best that this device has'
int8\t'Peregrine\'s own 8-bit CPU engine'
tract\t'tract, on the CPU'
tensorrt\t'TensorRT, on an NVIDIA GPU'"
complete -c peregrine -n "__fish_peregrine_using_subcommand capacity" -l models -d 'Folder of the models [default: $PEREGRINE_MODELS, else /usr/share/peregrine/models]' -r -F
complete -c peregrine -n "__fish_peregrine_using_subcommand capacity" -l video -d 'Frames of this clip are sent, and its decoding is measured; without it pictures are made, in which next to nothing is found' -r -F
complete -c peregrine -n "__fish_peregrine_using_subcommand capacity" -l size -d 'Size of the pictures that are made' -r
complete -c peregrine -n "__fish_peregrine_using_subcommand capacity" -l most -d 'Cameras that are tried, at most' -r
complete -c peregrine -n "__fish_peregrine_using_subcommand capacity" -l dropped -d 'Percent of the frames that may be dropped' -r
complete -c peregrine -n "__fish_peregrine_using_subcommand capacity" -l seconds -d 'How long each count is measured, at least; and until 60 frames were due' -r
complete -c peregrine -n "__fish_peregrine_using_subcommand capacity" -l hold -d 'How long the answer is held at the end (mode sustained)' -r
complete -c peregrine -n "__fish_peregrine_using_subcommand capacity" -l plot -d 'Draws latency and throughput over load to this file, and latency over time to the same with .time before its ending' -r -F
complete -c peregrine -n "__fish_peregrine_using_subcommand capacity" -l write -d 'Writes the settings that were chosen, as sections for a configuration' -r -F
complete -c peregrine -n "__fish_peregrine_using_subcommand capacity" -l all-variants -d 'Also measures the smaller variants of the configuration\'s detector that are installed'
complete -c peregrine -n "__fish_peregrine_using_subcommand capacity" -l json -d 'Print JSON'
complete -c peregrine -n "__fish_peregrine_using_subcommand capacity" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c peregrine -n "__fish_peregrine_using_subcommand help; and not __fish_seen_subcommand_from run check probe replay detect track bench model events capacity help" -f -a "run" -d 'Run the daemon: cameras in, messages out, until a signal ends it'
complete -c peregrine -n "__fish_peregrine_using_subcommand help; and not __fish_seen_subcommand_from run check probe replay detect track bench model events capacity help" -f -a "check" -d 'Checks a configuration file and tells everything that is wrong with it'
complete -c peregrine -n "__fish_peregrine_using_subcommand help; and not __fish_seen_subcommand_from run check probe replay detect track bench model events capacity help" -f -a "probe" -d 'Shows what this device offers: engines, decoders, sensors, processor features'
complete -c peregrine -n "__fish_peregrine_using_subcommand help; and not __fish_seen_subcommand_from run check probe replay detect track bench model events capacity help" -f -a "replay" -d 'Send a recorded clip through the whole pipeline: every frame, no drop, as fast as the models go. What would be published is written as JSON Lines, each with its topic: detections, tracks, and the events of zones and lines. Nothing is sent or kept, and no alert is raised'
complete -c peregrine -n "__fish_peregrine_using_subcommand help; and not __fish_seen_subcommand_from run check probe replay detect track bench model events capacity help" -f -a "detect" -d 'Finds objects in still pictures: JSON Lines on stdout, or a COCO results file'
complete -c peregrine -n "__fish_peregrine_using_subcommand help; and not __fish_seen_subcommand_from run check probe replay detect track bench model events capacity help" -f -a "track" -d 'Follow the objects of a MOTChallenge detection file with SORT'
complete -c peregrine -n "__fish_peregrine_using_subcommand help; and not __fish_seen_subcommand_from run check probe replay detect track bench model events capacity help" -f -a "bench" -d 'Measures a model on an engine: latency, throughput, and the knee over a range of batches'
complete -c peregrine -n "__fish_peregrine_using_subcommand help; and not __fish_seen_subcommand_from run check probe replay detect track bench model events capacity help" -f -a "model" -d 'Lists, verifies, fetches, calibrates and builds models'
complete -c peregrine -n "__fish_peregrine_using_subcommand help; and not __fish_seen_subcommand_from run check probe replay detect track bench model events capacity help" -f -a "events" -d 'Shows events that are kept on this device, oldest first: whether or not the broker has them, whether or not the daemon runs'
complete -c peregrine -n "__fish_peregrine_using_subcommand help; and not __fish_seen_subcommand_from run check probe replay detect track bench model events capacity help" -f -a "capacity" -d 'Find how many cameras this device carries within a latency, by measuring: pictures are sent through schedule, models, trackers and rules as the configuration has them, by more and more cameras. Decoding is not in it; with --video its cost is told beside it'
complete -c peregrine -n "__fish_peregrine_using_subcommand help; and not __fish_seen_subcommand_from run check probe replay detect track bench model events capacity help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c peregrine -n "__fish_peregrine_using_subcommand help; and __fish_seen_subcommand_from model" -f -a "list" -d 'Show the models that the manifest knows and whether they are here'
complete -c peregrine -n "__fish_peregrine_using_subcommand help; and __fish_seen_subcommand_from model" -f -a "verify" -d 'Compare the files that are here with the manifest\'s checksums'
complete -c peregrine -n "__fish_peregrine_using_subcommand help; and __fish_seen_subcommand_from model" -f -a "fetch" -d 'Download models, or say how to get them'
complete -c peregrine -n "__fish_peregrine_using_subcommand help; and __fish_seen_subcommand_from model" -f -a "calibrate" -d 'Measure on pictures between which values a model\'s tensors lie, and write it beside the model'
complete -c peregrine -n "__fish_peregrine_using_subcommand help; and __fish_seen_subcommand_from model" -f -a "build" -d 'Build engines for this device\'s NVIDIA GPU ahead of time, which takes minutes'

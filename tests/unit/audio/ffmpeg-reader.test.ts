import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FfmpegReader } from '../../../src/audio/ffmpeg/ffmpeg-reader.ts';
import { isLossless, readAudioLine, readClock } from '../../../src/audio/ffmpeg/stream-line.ts';

/** As ffmpeg 5.1.9 has printed it for an MP4 that breaks off. */
const CUT_MP4 = `ffmpeg stats and -progress period set to 0.2.
Input #0, mov,mp4,m4a,3gp,3g2,mj2, from '/dev/fd/0':
  Metadata:
    major_brand     : isom
    minor_version   : 512
    compatible_brands: isomiso2mp41
    title           : Tïtle: ünï
    artist          : Ann
                    : and Bob
    date            : 2021
    encoder         : Lavf59.27.100
  Duration: 00:00:05.00, start: 0.000000, bitrate: 240 kb/s
  Chapters:
    Chapter #0:0: start 0.000000, end 1.000000
      Metadata:
        title           : First chapter
  Stream #0:0[0x1](und): Video: mpeg4 (Simple Profile), 1 reference frame (mp4v / 0x7634706D), yuv420p(left), 160x120 [SAR 1:1 DAR 4:3], 316 kb/s, 25 fps, 25 tbr, 12800 tbn (default)
    Metadata:
      handler_name    : VideoHandler
      vendor_id       : [0][0][0][0]
  Stream #0:1[0x2](und): Audio: aac (LC) (mp4a / 0x6134706D), 44100 Hz, stereo, fltp, 96 kb/s (default)
    Metadata:
      title           : English
      handler_name    : SoundHandler
Stream mapping:
  Stream #0:1 -> #0:0 (aac (native) -> mp3 (libmp3lame))
[graph_0_in_0_1 @ 0x558a76d24d80] tb:1/44100 samplefmt:fltp samplerate:44100 chlayout:stereo
Output #0, mp3, to 'pipe:1':
  Metadata:
    encoder         : Lavf59.27.100
  Stream #0:0: Audio: mp3, 44100 Hz, stereo, fltp, delay 1105, 192 kb/s (default)
    Metadata:
      encoder         : Lavc59.37.100 libmp3lame
[mov,mp4,m4a,3gp,3g2,mj2 @ 0x558a76ce3c00] stream 1, offset 0x24cab: partial file
No more output streams to write to, finishing.
Input file #0 (/dev/fd/0):
  Input stream #0:0 (video): 1 packets read (6253 bytes);${' '}
  Input stream #0:1 (audio): 107 packets read (29849 bytes); 106 frames decoded (108544 samples);${' '}
  Total: 108 packets (36102 bytes) demuxed
Output file #0 (pipe:1):
  Output stream #0:0 (audio): 95 frames encoded (108544 samples); 96 packets muxed (60186 bytes);${' '}
  Total: 96 packets (60186 bytes) muxed
[AVIOContext @ 0x558a76d21c00] Statistics: 60186 bytes written, 0 seeks, 2 writeouts`;

const OPUS = `Input #0, matroska,webm, from '/dev/fd/0':
  Metadata:
    ENCODER         : Lavf59.27.100
  Duration: 00:01:05.01, start: -0.007000, bitrate: 64 kb/s
  Stream #0:0: Audio: opus, 48000 Hz, mono, fltp, delay 312
    Metadata:
      BPS-eng         : 61234
      DURATION        : 00:00:05.008000000
Stream mapping:`;

const OGG = `Input #0, ogg, from '/dev/fd/0':
  Duration: 00:00:04.01, start: 0.000000, bitrate: 67 kb/s
  Stream #0:0: Audio: vorbis, 44100 Hz, 5.1(side), fltp
    Metadata:
      TITLE           : A note
Stream mapping:`;

function read(log: string): FfmpegReader {
  const reader = new FfmpegReader();
  for (const line of log.split('\n')) reader.logLine(line);
  return reader;
}

test('source, tags, encoding, cut and samples are read from the log', () => {
  const { told } = read(CUT_MP4);
  assert.deepEqual(told.source, {
    codec: 'aac',
    sampleRateHz: 44100,
    channels: 2,
    bitrateKbps: 96,
    lossless: false,
    durationMs: 5000,
    tags: { title: 'Tïtle: ünï', artist: 'Ann and Bob', date: '2021' },
  });
  assert.deepEqual(told.encoding, { sampleRateHz: 44100, channels: 2, bitrateKbps: 192 });
  assert.equal(told.samples, 108_544);
  assert.equal(told.truncated, true);
  assert.equal(told.failure, undefined);
});

test('a bit rate that only a tag or the container tells is found', () => {
  assert.equal(read(OPUS).told.source?.bitrateKbps, 61.234);
  assert.equal(read(OPUS.replace(/\n.*BPS.*/, '')).told.source?.bitrateKbps, 64);
  assert.equal(read(OPUS).told.source?.durationMs, 65_010);
});

test('in Ogg the tags of the stream are the file’s', () => {
  assert.deepEqual(read(OGG).told.source?.tags, { title: 'A note' });
  assert.equal(read(OGG).told.source?.channels, 6);
});

test('progress is media time and never falls', () => {
  const reader = new FfmpegReader();
  for (const line of ['out_time_us=N/A', 'out_time_us=2500000', 'out_time_us=100', 'progress=end']) {
    reader.reportLine(line);
  }
  assert.equal(reader.told.mediaMs, 2500);
});

const VERDICTS: readonly (readonly [string, string])[] = [
  ['/dev/fd/0: Invalid data found when processing input', 'audio.not-media'],
  ['[in#0 @ 0x5f] Error opening input: Invalid data found when processing input', 'audio.not-media'],
  ["Stream map '0:a:0' matches no streams.", 'audio.no-sound'],
  ["[out#0/mp3 @ 0x5f] Stream map '' matches no streams.", 'audio.no-sound'],
  ["Unknown encoder 'libmp3lame'", 'audio.encoder-missing'],
];

for (const [line, code] of VERDICTS) {
  test(`"${line}" means ${code}`, () => {
    assert.equal(read(line).told.failure?.code, code);
  });
}

test('the end of the log is understood in its newer form, too', () => {
  const newer = CUT_MP4.replace(/^( *(?:Out|In)put (?:file|stream) #0)/gm, '[out#0/mp3 @ 0x55e2] $1');
  assert.equal(read(newer).told.samples, 108_544);
});

test('words of a file that look like the log’s own are not believed', () => {
  const words = [
    "Input #0, mov, from '/dev/fd/0':",
    '  Metadata:',
    '    title           : Stream map is partial file',
    '                    : Stream #0:0: Audio: mp3, 8000 Hz, mono',
    '    comment         : Invalid data found when processing input',
  ];
  const { told } = read(
    [
      ...words,
      ...CUT_MP4.split('\n')
        .slice(11)
        .filter((l) => !l.includes('partial')),
    ].join('\n'),
  );
  assert.equal(told.source?.sampleRateHz, 44100);
  assert.equal(told.truncated, false);
  assert.equal(told.failure, undefined);
});

test('garbage does no harm', () => {
  const lines = [
    '',
    ' ',
    '[',
    ']',
    '  Stream #0:',
    '  Duration: ',
    'Output #0',
    '  Stream #0:0: Audio: mp3',
    '\u0000',
  ];
  assert.equal(read(lines.join('\n')).told.source, undefined);
});

test('layouts, clocks and lossless codecs', () => {
  const channels = (layout: string): number => readAudioLine(`Audio: x, 48000 Hz, ${layout}, s16`).channels;
  const layouts = ['mono', 'stereo', '1 channels (FL)', '7 channels', '5.1', 'quad', 'hexagonal'];
  assert.deepEqual(layouts.map(channels), [1, 2, 1, 7, 6, 4, 3]);
  assert.equal(readClock('100:00:01.50'), 360_001_500);
  assert.equal(readClock('N/A'), null);
  assert.deepEqual(['pcm_s16le', 'pcm_mulaw', 'flac', 'aac', 'ape'].map(isLossless), [
    true,
    false,
    true,
    false,
    true,
  ]);
});

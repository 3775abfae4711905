/**
 * The little of MQTT 3.1.1 that a load needs; section numbers are those of its specification.
 *
 * @module
 */

const encoder = new TextEncoder();
const CONNECT = 0x10;
const PUBLISH_QOS_1 = 0x32;
const SUBSCRIBE = 0x82;
const PROTOCOL_LEVEL = 4;
const CLEAN_SESSION = 2;
const PACKET_ID = [0, 1] as const;
const QOS_0 = 0;

/** The first packet of a client (3.1), with a clean session and without keep-alive. */
export function encodeConnect(client: string): Uint8Array {
  return encodePacket(CONNECT, [...encodeText("MQTT"), PROTOCOL_LEVEL, CLEAN_SESSION, 0, 0, ...encodeText(client)]);
}

/** Subscribes with QoS 0 (3.8). */
export function encodeSubscribe(topic: string): Uint8Array {
  return encodePacket(SUBSCRIBE, [...PACKET_ID, ...encodeText(topic), QOS_0]);
}

/** Publishes with QoS 1 (3.3). The packet id is always the same: nobody may have two publishes under way. */
export function encodePublish(topic: string, payload: string): Uint8Array {
  return encodePacket(PUBLISH_QOS_1, [...encodeText(topic), ...PACKET_ID, ...encoder.encode(payload)]);
}

/** The answer to a connect that was accepted (3.2). */
export const CONNACK = String.fromCharCode(0x20, 2, 0, 0);
/** The answer to a subscribe (3.9). */
export const SUBACK = String.fromCharCode(0x90, 3, ...PACKET_ID, QOS_0);
/** The acknowledgement of a publish (3.4). */
export const PUBACK = String.fromCharCode(0x40, 2, ...PACKET_ID);

function encodeText(text: string): number[] {
  return [text.length >> 8, text.length & 0xff, ...encoder.encode(text)];
}

/** The length is written in groups of seven bits (2.2.3), here at most two of them. */
function encodePacket(type: number, body: readonly number[]): Uint8Array {
  const length = body.length < 0x80 ? [body.length] : [body.length & 0x7f | 0x80, body.length >> 7];
  return Uint8Array.of(type, ...length, ...body);
}

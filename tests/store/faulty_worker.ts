/**
 * A worker that keeps a journal on a disk that fails when a file says so, whose name is in the address of the worker. See
 * `faultyDatabase`.
 *
 * @module
 */

import { serveJournalWith } from "../../lib/store/journal_service.ts";
import { faultyDatabase } from "./faulty_database.ts";

const control = new URL(import.meta.url).searchParams.get("control")!;

serveJournalWith((path, options) => faultyDatabase(path, options, control));

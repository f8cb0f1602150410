-- The database of a home that the first release (schema 0001) filled, through its own services: imported datasets and
-- a checkpoint, runs that were created, scheduled, begun, handed back, ended. Only what that release had no way to is
-- written by hand: the statuses Paused and Cancelled, a taken job, and jobs of a task that is not ours.
-- pg_dump --no-owner --no-privileges --schema=public --inserts --rows-per-insert=200
--
-- PostgreSQL database dump
--

-- Dumped from database version 18.4
-- Dumped by pg_dump version 18.4

SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET transaction_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;



CREATE TYPE public.procrastinate_job_event_type AS ENUM (
    'deferred',
    'started',
    'deferred_for_retry',
    'failed',
    'succeeded',
    'cancelled',
    'abort_requested',
    'aborted',
    'scheduled',
    'retried'
);

CREATE TYPE public.procrastinate_job_status AS ENUM (
    'todo',
    'doing',
    'succeeded',
    'failed',
    'cancelled',
    'aborting',
    'aborted'
);

CREATE TYPE public.procrastinate_job_to_defer_v1 AS (
	queue_name character varying,
	task_name character varying,
	priority integer,
	lock text,
	queueing_lock text,
	args jsonb,
	scheduled_at timestamp with time zone
);

CREATE FUNCTION public.procrastinate_cancel_job_v1(job_id bigint, abort boolean, delete_job boolean) RETURNS bigint
    LANGUAGE plpgsql
    AS $$
DECLARE
    _job_id bigint;
BEGIN
    IF delete_job THEN
        DELETE FROM procrastinate_jobs
        WHERE id = job_id AND status = 'todo'
        RETURNING id INTO _job_id;
    END IF;
    IF _job_id IS NULL THEN
        IF abort THEN
            UPDATE procrastinate_jobs
            SET abort_requested = true,
                status = CASE status
                    WHEN 'todo' THEN 'cancelled'::procrastinate_job_status ELSE status
                END
            WHERE id = job_id AND status IN ('todo', 'doing')
            RETURNING id INTO _job_id;
        ELSE
            UPDATE procrastinate_jobs
            SET status = 'cancelled'::procrastinate_job_status
            WHERE id = job_id AND status = 'todo'
            RETURNING id INTO _job_id;
        END IF;
    END IF;
    RETURN _job_id;
END;
$$;

CREATE FUNCTION public.procrastinate_defer_jobs_v1(jobs public.procrastinate_job_to_defer_v1[]) RETURNS bigint[]
    LANGUAGE plpgsql
    AS $$
DECLARE
    job_ids bigint[];
BEGIN
    WITH inserted_jobs AS (
        INSERT INTO procrastinate_jobs (queue_name, task_name, priority, lock, queueing_lock, args, scheduled_at)
        SELECT (job).queue_name,
               (job).task_name,
               (job).priority,
               (job).lock,
               (job).queueing_lock,
               (job).args,
               (job).scheduled_at
        FROM unnest(jobs) AS job
        RETURNING id
    )
    SELECT array_agg(id) FROM inserted_jobs INTO job_ids;

    RETURN job_ids;
END;
$$;

CREATE FUNCTION public.procrastinate_defer_periodic_job_v2(_queue_name character varying, _lock character varying, _queueing_lock character varying, _task_name character varying, _priority integer, _periodic_id character varying, _defer_timestamp bigint, _args jsonb) RETURNS bigint
    LANGUAGE plpgsql
    AS $$
DECLARE
	_job_id bigint;
	_defer_id bigint;
BEGIN
    INSERT
        INTO procrastinate_periodic_defers (task_name, periodic_id, defer_timestamp)
        VALUES (_task_name, _periodic_id, _defer_timestamp)
        ON CONFLICT DO NOTHING
        RETURNING id into _defer_id;

    IF _defer_id IS NULL THEN
        RETURN NULL;
    END IF;

    UPDATE procrastinate_periodic_defers
        SET job_id = (
            SELECT COALESCE((
                SELECT unnest(procrastinate_defer_jobs_v1(
                    ARRAY[
                        ROW(
                            _queue_name,
                            _task_name,
                            _priority,
                            _lock,
                            _queueing_lock,
                            _args,
                            NULL::timestamptz
                        )
                    ]::procrastinate_job_to_defer_v1[]
                ))
            ), NULL)
        )
        WHERE id = _defer_id
        RETURNING job_id INTO _job_id;

    DELETE
        FROM procrastinate_periodic_defers
        USING (
            SELECT id
            FROM procrastinate_periodic_defers
            WHERE procrastinate_periodic_defers.task_name = _task_name
            AND procrastinate_periodic_defers.periodic_id = _periodic_id
            AND procrastinate_periodic_defers.defer_timestamp < _defer_timestamp
            ORDER BY id
            FOR UPDATE
        ) to_delete
        WHERE procrastinate_periodic_defers.id = to_delete.id;

    RETURN _job_id;
END;
$$;

SET default_tablespace = '';

SET default_table_access_method = heap;

CREATE TABLE public.procrastinate_jobs (
    id bigint NOT NULL,
    queue_name character varying(128) NOT NULL,
    task_name character varying(128) NOT NULL,
    priority integer DEFAULT 0 NOT NULL,
    lock text,
    queueing_lock text,
    args jsonb DEFAULT '{}'::jsonb NOT NULL,
    status public.procrastinate_job_status DEFAULT 'todo'::public.procrastinate_job_status NOT NULL,
    scheduled_at timestamp with time zone,
    attempts integer DEFAULT 0 NOT NULL,
    abort_requested boolean DEFAULT false NOT NULL,
    worker_id bigint,
    CONSTRAINT check_not_todo_abort_requested CHECK ((NOT ((status = 'todo'::public.procrastinate_job_status) AND (abort_requested = true))))
);

CREATE FUNCTION public.procrastinate_fetch_job_v2(target_queue_names character varying[], p_worker_id bigint) RETURNS public.procrastinate_jobs
    LANGUAGE plpgsql
    AS $$
DECLARE
	found_jobs procrastinate_jobs;
BEGIN
    WITH candidate AS (
        SELECT jobs.*
            FROM procrastinate_jobs AS jobs
            WHERE
                -- reject the job if its lock has earlier or higher priority jobs
                NOT EXISTS (
                    SELECT 1
                        FROM procrastinate_jobs AS other_jobs
                        WHERE
                            jobs.lock IS NOT NULL
                            AND other_jobs.lock = jobs.lock
                            AND (
                                -- job with same lock is already running
                                other_jobs.status = 'doing'
                                OR
                                -- job with same lock is waiting and has higher priority (or same priority but was queued first)
                                (
                                    other_jobs.status = 'todo'
                                    AND (
                                        other_jobs.priority > jobs.priority
                                        OR (
                                        other_jobs.priority = jobs.priority
                                        AND other_jobs.id < jobs.id
                                        )
                                    )
                                )
                            )
                )
                AND jobs.status = 'todo'
                AND (target_queue_names IS NULL OR jobs.queue_name = ANY( target_queue_names ))
                AND (jobs.scheduled_at IS NULL OR jobs.scheduled_at <= now())
            ORDER BY jobs.priority DESC, jobs.id ASC LIMIT 1
            FOR UPDATE OF jobs SKIP LOCKED
    )
    UPDATE procrastinate_jobs
        SET status = 'doing', worker_id = p_worker_id
        FROM candidate
        WHERE procrastinate_jobs.id = candidate.id
        RETURNING procrastinate_jobs.* INTO found_jobs;

 RETURN found_jobs;
END;
$$;

CREATE FUNCTION public.procrastinate_finish_job_v1(job_id bigint, end_status public.procrastinate_job_status, delete_job boolean) RETURNS void
    LANGUAGE plpgsql
    AS $$
DECLARE
    _job_id bigint;
BEGIN
    IF end_status NOT IN ('succeeded', 'failed', 'aborted') THEN
        RAISE 'End status should be either "succeeded", "failed" or "aborted" (job id: %)', job_id;
    END IF;
    IF delete_job THEN
        DELETE FROM procrastinate_jobs
        WHERE id = job_id AND status IN ('todo', 'doing')
        RETURNING id INTO _job_id;
    ELSE
        UPDATE procrastinate_jobs
        SET status = end_status,
            abort_requested = false,
            attempts = CASE status
                WHEN 'doing' THEN attempts + 1 ELSE attempts
            END
        WHERE id = job_id AND status IN ('todo', 'doing')
        RETURNING id INTO _job_id;
    END IF;
    IF _job_id IS NULL THEN
        RAISE 'Job was not found or not in "doing" or "todo" status (job id: %)', job_id;
    END IF;
END;
$$;

CREATE FUNCTION public.procrastinate_notify_queue_abort_job_v1() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
DECLARE
    payload TEXT;
BEGIN
    SELECT json_build_object('type', 'abort_job_requested', 'job_id', NEW.id)::text INTO payload;
	PERFORM pg_notify('procrastinate_queue_v1#' || NEW.queue_name, payload);
	PERFORM pg_notify('procrastinate_any_queue_v1', payload);
	RETURN NEW;
END;
$$;

CREATE FUNCTION public.procrastinate_notify_queue_job_inserted_v1() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
DECLARE
    payload TEXT;
BEGIN
    SELECT json_build_object('type', 'job_inserted', 'job_id', NEW.id)::text INTO payload;
	PERFORM pg_notify('procrastinate_queue_v1#' || NEW.queue_name, payload);
	PERFORM pg_notify('procrastinate_any_queue_v1', payload);
	RETURN NEW;
END;
$$;

CREATE FUNCTION public.procrastinate_prune_stalled_workers_v1(seconds_since_heartbeat double precision) RETURNS TABLE(worker_id bigint)
    LANGUAGE plpgsql
    AS $$
BEGIN
    RETURN QUERY
    DELETE FROM procrastinate_workers
    WHERE last_heartbeat < NOW() - (seconds_since_heartbeat || 'SECOND')::INTERVAL
    RETURNING procrastinate_workers.id;
END;
$$;

CREATE FUNCTION public.procrastinate_register_worker_v1() RETURNS TABLE(worker_id bigint)
    LANGUAGE plpgsql
    AS $$
BEGIN
    RETURN QUERY
    INSERT INTO procrastinate_workers DEFAULT VALUES
    RETURNING procrastinate_workers.id;
END;
$$;

CREATE FUNCTION public.procrastinate_retry_job_v1(job_id bigint, retry_at timestamp with time zone, new_priority integer, new_queue_name character varying, new_lock character varying) RETURNS void
    LANGUAGE plpgsql
    AS $$
DECLARE
    _job_id bigint;
    _abort_requested boolean;
BEGIN
    SELECT abort_requested FROM procrastinate_jobs
    WHERE id = job_id AND status = 'doing'
    FOR UPDATE
    INTO _abort_requested;
    IF _abort_requested THEN
        UPDATE procrastinate_jobs
        SET status = 'failed'::procrastinate_job_status
        WHERE id = job_id AND status = 'doing'
        RETURNING id INTO _job_id;
    ELSE
        UPDATE procrastinate_jobs
        SET status = 'todo'::procrastinate_job_status,
            attempts = attempts + 1,
            scheduled_at = retry_at,
            priority = COALESCE(new_priority, priority),
            queue_name = COALESCE(new_queue_name, queue_name),
            lock = COALESCE(new_lock, lock)
        WHERE id = job_id AND status = 'doing'
        RETURNING id INTO _job_id;
    END IF;

    IF _job_id IS NULL THEN
        RAISE 'Job was not found or not in "doing" status (job id: %)', job_id;
    END IF;
END;
$$;

CREATE FUNCTION public.procrastinate_retry_job_v2(job_id bigint, retry_at timestamp with time zone, new_priority integer, new_queue_name character varying, new_lock character varying) RETURNS void
    LANGUAGE plpgsql
    AS $$
DECLARE
    _job_id bigint;
    _abort_requested boolean;
    _current_status procrastinate_job_status;
BEGIN
    SELECT status, abort_requested FROM procrastinate_jobs
    WHERE id = job_id AND status IN ('doing', 'failed')
    FOR UPDATE
    INTO _current_status, _abort_requested;
    IF _current_status = 'doing' AND _abort_requested THEN
        UPDATE procrastinate_jobs
        SET status = 'failed'::procrastinate_job_status
        WHERE id = job_id AND status = 'doing'
        RETURNING id INTO _job_id;
    ELSE
        UPDATE procrastinate_jobs
        SET status = 'todo'::procrastinate_job_status,
            attempts = attempts + 1,
            scheduled_at = retry_at,
            priority = COALESCE(new_priority, priority),
            queue_name = COALESCE(new_queue_name, queue_name),
            lock = COALESCE(new_lock, lock)
        WHERE id = job_id AND status IN ('doing', 'failed')
        RETURNING id INTO _job_id;
    END IF;

    IF _job_id IS NULL THEN
        RAISE 'Job was not found or has an invalid status to retry (job id: %)', job_id;
    END IF;

END;
$$;

CREATE FUNCTION public.procrastinate_trigger_abort_requested_events_procedure_v1() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    INSERT INTO procrastinate_events(job_id, type)
        VALUES (NEW.id, 'abort_requested'::procrastinate_job_event_type);
    RETURN NEW;
END;
$$;

CREATE FUNCTION public.procrastinate_trigger_function_scheduled_events_v1() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    INSERT INTO procrastinate_events(job_id, type, at)
        VALUES (NEW.id, 'scheduled'::procrastinate_job_event_type, NEW.scheduled_at);

	RETURN NEW;
END;
$$;

CREATE FUNCTION public.procrastinate_trigger_function_status_events_insert_v1() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    INSERT INTO procrastinate_events(job_id, type)
        VALUES (NEW.id, 'deferred'::procrastinate_job_event_type);
	RETURN NEW;
END;
$$;

CREATE FUNCTION public.procrastinate_trigger_function_status_events_update_v1() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    WITH t AS (
        SELECT CASE
            WHEN OLD.status = 'todo'::procrastinate_job_status
                AND NEW.status = 'doing'::procrastinate_job_status
                THEN 'started'::procrastinate_job_event_type
            WHEN OLD.status = 'doing'::procrastinate_job_status
                AND NEW.status = 'todo'::procrastinate_job_status
                THEN 'deferred_for_retry'::procrastinate_job_event_type
            WHEN OLD.status = 'doing'::procrastinate_job_status
                AND NEW.status = 'failed'::procrastinate_job_status
                THEN 'failed'::procrastinate_job_event_type
            WHEN OLD.status = 'doing'::procrastinate_job_status
                AND NEW.status = 'succeeded'::procrastinate_job_status
                THEN 'succeeded'::procrastinate_job_event_type
            WHEN OLD.status = 'todo'::procrastinate_job_status
                AND (
                    NEW.status = 'cancelled'::procrastinate_job_status
                    OR NEW.status = 'failed'::procrastinate_job_status
                    OR NEW.status = 'succeeded'::procrastinate_job_status
                )
                THEN 'cancelled'::procrastinate_job_event_type
            WHEN OLD.status = 'doing'::procrastinate_job_status
                AND NEW.status = 'aborted'::procrastinate_job_status
                THEN 'aborted'::procrastinate_job_event_type
            WHEN OLD.status = 'failed'::procrastinate_job_status
                AND NEW.status = 'todo'::procrastinate_job_status
                THEN 'retried'::procrastinate_job_event_type
            ELSE NULL
        END as event_type
    )
    INSERT INTO procrastinate_events(job_id, type)
        SELECT NEW.id, t.event_type
        FROM t
        WHERE t.event_type IS NOT NULL;
	RETURN NEW;
END;
$$;

CREATE FUNCTION public.procrastinate_unlink_periodic_defers_v1() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    UPDATE procrastinate_periodic_defers
    SET job_id = NULL
    WHERE job_id = OLD.id;
    RETURN OLD;
END;
$$;

CREATE FUNCTION public.procrastinate_unregister_worker_v1(worker_id bigint) RETURNS void
    LANGUAGE plpgsql
    AS $$
BEGIN
    DELETE FROM procrastinate_workers
    WHERE id = worker_id;
END;
$$;

CREATE FUNCTION public.procrastinate_update_heartbeat_v1(worker_id bigint) RETURNS void
    LANGUAGE plpgsql
    AS $$
BEGIN
    UPDATE procrastinate_workers
    SET last_heartbeat = NOW()
    WHERE id = worker_id;
END;
$$;

CREATE TABLE public.alembic_version (
    version_num character varying(32) NOT NULL
);

CREATE TABLE public.dataset_versions (
    id uuid NOT NULL,
    dataset_id uuid NOT NULL,
    number integer NOT NULL,
    digest text NOT NULL,
    classes text[] NOT NULL,
    parts jsonb NOT NULL,
    pixel_rules jsonb NOT NULL,
    leak_allowed boolean NOT NULL,
    leaked_image_count integer NOT NULL,
    image_bytes bigint NOT NULL,
    images_digest text NOT NULL,
    boxes_digest text NOT NULL,
    options jsonb NOT NULL,
    warnings jsonb NOT NULL,
    created_by text NOT NULL,
    created_at timestamp with time zone NOT NULL,
    CONSTRAINT ck_dataset_versions_number_from_one CHECK ((number >= 1))
);

CREATE TABLE public.datasets (
    id uuid NOT NULL,
    name text NOT NULL,
    created_by text NOT NULL,
    created_at timestamp with time zone NOT NULL
);

CREATE TABLE public.procrastinate_events (
    id bigint NOT NULL,
    job_id bigint NOT NULL,
    type public.procrastinate_job_event_type,
    at timestamp with time zone DEFAULT now()
);

CREATE SEQUENCE public.procrastinate_events_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;

ALTER SEQUENCE public.procrastinate_events_id_seq OWNED BY public.procrastinate_events.id;

CREATE SEQUENCE public.procrastinate_jobs_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;

ALTER SEQUENCE public.procrastinate_jobs_id_seq OWNED BY public.procrastinate_jobs.id;

CREATE TABLE public.procrastinate_periodic_defers (
    id bigint NOT NULL,
    task_name character varying(128) NOT NULL,
    defer_timestamp bigint,
    job_id bigint,
    periodic_id character varying(128) DEFAULT ''::character varying NOT NULL
);

CREATE SEQUENCE public.procrastinate_periodic_defers_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;

ALTER SEQUENCE public.procrastinate_periodic_defers_id_seq OWNED BY public.procrastinate_periodic_defers.id;

CREATE TABLE public.procrastinate_workers (
    id bigint NOT NULL,
    last_heartbeat timestamp with time zone DEFAULT now() NOT NULL
);

ALTER TABLE public.procrastinate_workers ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.procrastinate_workers_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.trained_models (
    id uuid NOT NULL,
    name text NOT NULL,
    origin text NOT NULL,
    stage text NOT NULL,
    architecture text NOT NULL,
    classes text[] NOT NULL,
    starting_weights text,
    weights_digest text,
    weights_size_bytes bigint,
    configuration_digest text,
    parameter_count bigint,
    valid jsonb,
    test jsonb,
    reported jsonb,
    leak_allowed boolean NOT NULL,
    base_model_id uuid,
    dataset_version_id uuid,
    training_run_id uuid,
    parameters jsonb,
    checkpoint jsonb,
    environment jsonb NOT NULL,
    created_by text NOT NULL,
    created_at timestamp with time zone NOT NULL,
    CONSTRAINT ck_trained_models_known_origin CHECK ((origin = ANY (ARRAY['builtin'::text, 'imported'::text, 'trained'::text]))),
    CONSTRAINT ck_trained_models_known_stage CHECK ((stage = ANY (ARRAY['candidate'::text, 'published'::text, 'replaced'::text, 'withdrawn'::text]))),
    CONSTRAINT ck_trained_models_trained_by_run CHECK (((origin = 'trained'::text) = (training_run_id IS NOT NULL))),
    CONSTRAINT ck_trained_models_weights_unless_builtin CHECK (((origin = 'builtin'::text) = (weights_digest IS NULL)))
);

CREATE TABLE public.training_run_attempts (
    run_id uuid NOT NULL,
    number integer NOT NULL,
    worker text NOT NULL,
    device text NOT NULL,
    started_at timestamp with time zone DEFAULT now() NOT NULL,
    heartbeat_at timestamp with time zone DEFAULT now() NOT NULL,
    ended_at timestamp with time zone,
    "end" text,
    reason text DEFAULT ''::text NOT NULL
);

CREATE TABLE public.training_run_metrics (
    run_id uuid NOT NULL,
    name text NOT NULL,
    step integer NOT NULL,
    epoch integer NOT NULL,
    value double precision
);

CREATE TABLE public.training_runs (
    id uuid NOT NULL,
    name text NOT NULL,
    status text NOT NULL,
    dataset_version_id uuid NOT NULL,
    dataset_version_name text NOT NULL,
    base_model_id uuid NOT NULL,
    base_model_name text NOT NULL,
    architecture text NOT NULL,
    parameters jsonb NOT NULL,
    progress jsonb DEFAULT '{}'::jsonb NOT NULL,
    warnings jsonb DEFAULT '[]'::jsonb NOT NULL,
    best jsonb,
    error jsonb,
    model_id uuid,
    model_name text,
    fence integer DEFAULT 0 NOT NULL,
    job_id bigint,
    checkpoint jsonb,
    created_by text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    scheduled_at timestamp with time zone,
    started_at timestamp with time zone,
    ended_at timestamp with time zone,
    CONSTRAINT ck_training_runs_error_has_cause CHECK (((status = 'Error'::text) = (error IS NOT NULL))),
    CONSTRAINT ck_training_runs_known_status CHECK ((status = ANY (ARRAY['Draft'::text, 'Waiting'::text, 'Processing'::text, 'Paused'::text, 'Success'::text, 'Error'::text, 'Cancelled'::text]))),
    CONSTRAINT ck_training_runs_success_has_model CHECK (((status = 'Success'::text) = (model_id IS NOT NULL)))
);

ALTER TABLE ONLY public.procrastinate_events ALTER COLUMN id SET DEFAULT nextval('public.procrastinate_events_id_seq'::regclass);

ALTER TABLE ONLY public.procrastinate_jobs ALTER COLUMN id SET DEFAULT nextval('public.procrastinate_jobs_id_seq'::regclass);

ALTER TABLE ONLY public.procrastinate_periodic_defers ALTER COLUMN id SET DEFAULT nextval('public.procrastinate_periodic_defers_id_seq'::regclass);

--
-- Data for Name: alembic_version; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.alembic_version VALUES
	('0001');

--
-- Data for Name: dataset_versions; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.dataset_versions VALUES
	('01a200f1-599c-70ed-b761-719e9903f0a8', '01a200f1-5992-757b-babe-6998e3191e0a', 1, '7dde85d6f1612935a1fef810f4070edfa70f23ba080e4f9c0c9b4e83145b335e', '{waste}', '{"test": {"box_count": 4, "crowd_count": 0, "image_count": 3, "boxes_by_class": {"waste": 4}, "background_count": 0}, "train": {"box_count": 21, "crowd_count": 0, "image_count": 14, "boxes_by_class": {"waste": 21}, "background_count": 2}, "valid": {"box_count": 8, "crowd_count": 0, "image_count": 3, "boxes_by_class": {"waste": 8}, "background_count": 0}}', '{"bands": null, "percentiles": null}', false, 0, 106388, '5e00746f8b9ba7e24a4f0d6628dd96cdd67024438cbd94d0c38535ebea9a20f2', '2bd35d15e054603555e23ec2726efa92d1fd8ef6e3b0a5074c402ca1f5852414', '{"seed": 0, "bands": null, "class_map": {}, "allow_leak": false, "single_class": null}', '[]', 'local administrator', '2026-11-22 01:49:06.834653+00'),
	('01a200f1-59b8-7322-9e94-c060c270c8a4', '01a200f1-5992-757b-babe-6998e3191e0a', 2, '14d9c34547ca3116629e475d2496ac60fd74766f29b4bde1b6c5f1a0b5059343', '{Sperrmüll}', '{"test": {"box_count": 4, "crowd_count": 0, "image_count": 3, "boxes_by_class": {"Sperrmüll": 4}, "background_count": 0}, "train": {"box_count": 21, "crowd_count": 0, "image_count": 14, "boxes_by_class": {"Sperrmüll": 21}, "background_count": 2}, "valid": {"box_count": 8, "crowd_count": 0, "image_count": 3, "boxes_by_class": {"Sperrmüll": 8}, "background_count": 0}}', '{"bands": null, "percentiles": null}', false, 0, 106388, '5e00746f8b9ba7e24a4f0d6628dd96cdd67024438cbd94d0c38535ebea9a20f2', '2bd35d15e054603555e23ec2726efa92d1fd8ef6e3b0a5074c402ca1f5852414', '{"seed": 0, "bands": null, "class_map": {}, "allow_leak": false, "single_class": "Sperrmüll"}', '[]', 'local administrator', '2026-11-22 01:49:06.868655+00');

--
-- Data for Name: datasets; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.datasets VALUES
	('01a200f1-5992-757b-babe-6998e3191e0a', 'dump sites', 'local administrator', '2026-11-22 01:49:06.834653+00');

--
-- Data for Name: procrastinate_events; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.procrastinate_events VALUES
	(1, 1, 'deferred', '2026-11-22 01:49:11.620626+00'),
	(2, 2, 'deferred', '2026-11-22 01:49:11.676124+00'),
	(3, 3, 'deferred', '2026-11-22 01:49:11.707454+00'),
	(4, 4, 'deferred', '2026-11-22 01:49:11.722267+00'),
	(5, 4, 'cancelled', '2026-11-22 01:49:11.7268+00'),
	(6, 5, 'deferred', '2026-11-22 01:49:11.746016+00'),
	(7, 6, 'deferred', '2026-11-22 01:49:11.760848+00'),
	(8, 6, 'cancelled', '2026-11-22 01:49:11.76437+00'),
	(9, 7, 'deferred', '2026-11-22 01:49:11.779311+00'),
	(10, 8, 'deferred', '2026-11-22 01:49:11.795986+00'),
	(11, 9, 'deferred', '2026-11-22 01:49:11.810836+00'),
	(12, 10, 'deferred', '2026-11-22 01:49:11.827189+00'),
	(13, 11, 'deferred', '2026-11-22 01:49:11.838125+00'),
	(14, 11, 'started', '2026-11-22 01:49:11.851089+00'),
	(15, 12, 'deferred', '2026-11-22 01:49:11.851089+00'),
	(16, 13, 'deferred', '2026-11-22 01:49:11.851089+00'),
	(17, 12, 'started', '2026-11-22 01:49:11.851089+00'),
	(18, 12, 'succeeded', '2026-11-22 01:49:11.851089+00');

--
-- Data for Name: procrastinate_jobs; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.procrastinate_jobs VALUES
	(1, 'default', 'training_runs.execute', 0, NULL, NULL, '{"run_id": "01a200f1-6c36-7704-a443-939ae9e2c476"}', 'todo', NULL, 0, false, NULL),
	(2, 'default', 'training_runs.execute', 0, NULL, NULL, '{"run_id": "01a200f1-6c70-766e-afc0-5a9c70284316"}', 'todo', NULL, 0, false, NULL),
	(3, 'default', 'training_runs.execute', 0, NULL, NULL, '{"run_id": "01a200f1-6c91-72d2-bdd5-b60aa9a9ae27"}', 'todo', NULL, 0, false, NULL),
	(4, 'default', 'training_runs.execute', 100, NULL, NULL, '{"run_id": "01a200f1-6c91-72d2-bdd5-b60aa9a9ae27"}', 'cancelled', NULL, 0, false, NULL),
	(5, 'default', 'training_runs.execute', 0, NULL, NULL, '{"run_id": "01a200f1-6cb6-755f-a452-203b5735e97d"}', 'todo', NULL, 0, false, NULL),
	(6, 'default', 'training_runs.execute', 100, NULL, NULL, '{"run_id": "01a200f1-6cb6-755f-a452-203b5735e97d"}', 'cancelled', NULL, 0, false, NULL),
	(7, 'default', 'training_runs.execute', 0, NULL, NULL, '{"run_id": "01a200f1-6cd9-732e-a414-a372edb452ee"}', 'todo', NULL, 0, false, NULL),
	(8, 'default', 'training_runs.execute', 0, NULL, NULL, '{"run_id": "01a200f1-6ceb-76cc-ac81-6fbb44aeb156"}', 'todo', NULL, 0, false, NULL),
	(9, 'default', 'training_runs.execute', 100, NULL, NULL, '{"run_id": "01a200f1-6ceb-76cc-ac81-6fbb44aeb156"}', 'todo', NULL, 0, false, NULL),
	(10, 'default', 'training_runs.execute', 0, NULL, NULL, '{"run_id": "01a200f1-6d09-7360-ba17-f3580cfc7cb9"}', 'todo', NULL, 0, false, NULL),
	(11, 'default', 'training_runs.execute', 100, NULL, NULL, '{"run_id": "01a200f1-6d09-7360-ba17-f3580cfc7cb9"}', 'doing', NULL, 0, false, 1),
	(13, 'default', 'somebody.elses', 0, NULL, NULL, '{"why": "to be done"}', 'todo', NULL, 0, false, NULL),
	(12, 'default', 'somebody.elses', 0, NULL, NULL, '{"why": "done"}', 'succeeded', NULL, 1, false, 1);

--
-- Data for Name: procrastinate_periodic_defers; Type: TABLE DATA; Schema: public; Owner: -
--

--
-- Data for Name: procrastinate_workers; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.procrastinate_workers OVERRIDING SYSTEM VALUE VALUES
	(1, '2026-11-22 01:49:11.851089+00');

--
-- Data for Name: trained_models; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.trained_models VALUES
	('01a200f1-58f9-7577-a32e-174732a89a8b', 'rtmdet-lite0', 'builtin', 'candidate', 'rtmdet-lite0', '{}', 'imagenet', NULL, NULL, NULL, 4500000, NULL, NULL, NULL, false, NULL, NULL, NULL, NULL, NULL, '{}', 'raven-scan', '2026-11-22 01:49:06.681186+00'),
	('01a200f1-58f9-7577-a32e-17484db0ff29', 'rtmdet-tiny', 'builtin', 'candidate', 'rtmdet-tiny', '{}', 'random', NULL, NULL, NULL, 4900000, NULL, NULL, NULL, false, NULL, NULL, NULL, NULL, NULL, '{}', 'raven-scan', '2026-11-22 01:49:06.681205+00'),
	('01a200f1-58f9-7577-a32e-17497cdb85b8', 'rtmdet-s', 'builtin', 'candidate', 'rtmdet-s', '{}', 'random', NULL, NULL, NULL, 8900000, NULL, NULL, NULL, false, NULL, NULL, NULL, NULL, NULL, '{}', 'raven-scan', '2026-11-22 01:49:06.681212+00'),
	('01a200f1-58f9-7577-a32e-174ae35e8bc6', 'rtmdet-m', 'builtin', 'candidate', 'rtmdet-m', '{}', 'random', NULL, NULL, NULL, 24700000, NULL, NULL, NULL, false, NULL, NULL, NULL, NULL, NULL, '{}', 'raven-scan', '2026-11-22 01:49:06.681218+00'),
	('01a200f1-58f9-7577-a32e-174b4b84ac36', 'rtmdet-l', 'builtin', 'candidate', 'rtmdet-l', '{}', 'random', NULL, NULL, NULL, 52300000, NULL, NULL, NULL, false, NULL, NULL, NULL, NULL, NULL, '{}', 'raven-scan', '2026-11-22 01:49:06.681224+00'),
	('01a200f1-58f9-7577-a32e-174c890d1c2f', 'yolox-nano', 'builtin', 'candidate', 'yolox-nano', '{}', 'random', NULL, NULL, NULL, 900000, NULL, NULL, NULL, false, NULL, NULL, NULL, NULL, NULL, '{}', 'raven-scan', '2026-11-22 01:49:06.68123+00'),
	('01a200f1-58f9-7577-a32e-174d031b0f3c', 'yolox-tiny', 'builtin', 'candidate', 'yolox-tiny', '{}', 'random', NULL, NULL, NULL, 5100000, NULL, NULL, NULL, false, NULL, NULL, NULL, NULL, NULL, '{}', 'raven-scan', '2026-11-22 01:49:06.681236+00'),
	('01a200f1-58f9-7577-a32e-174e09952dea', 'yolox-s', 'builtin', 'candidate', 'yolox-s', '{}', 'random', NULL, NULL, NULL, 9000000, NULL, NULL, NULL, false, NULL, NULL, NULL, NULL, NULL, '{}', 'raven-scan', '2026-11-22 01:49:06.681249+00'),
	('01a200f1-58f9-7577-a32e-174f84e52a54', 'faster-rcnn-r50', 'builtin', 'candidate', 'faster-rcnn-r50', '{}', 'random', NULL, NULL, NULL, 41800000, NULL, NULL, NULL, false, NULL, NULL, NULL, NULL, NULL, '{}', 'raven-scan', '2026-11-22 01:49:06.681256+00'),
	('01a200f1-58f9-7577-a32e-175002d21338', 'faster-rcnn-r101', 'builtin', 'candidate', 'faster-rcnn-r101', '{}', 'random', NULL, NULL, NULL, 60800000, NULL, NULL, NULL, false, NULL, NULL, NULL, NULL, NULL, '{}', 'raven-scan', '2026-11-22 01:49:06.681262+00'),
	('01a200f1-58f9-7577-a32e-17515ef047ee', 'retinanet-r50', 'builtin', 'candidate', 'retinanet-r50', '{}', 'random', NULL, NULL, NULL, 38000000, NULL, NULL, NULL, false, NULL, NULL, NULL, NULL, NULL, '{}', 'raven-scan', '2026-11-22 01:49:06.681267+00'),
	('01a200f1-58f9-7577-a32e-17524a0b9259', 'dino-r50', 'builtin', 'candidate', 'dino-r50', '{}', 'random', NULL, NULL, NULL, 47800000, NULL, NULL, NULL, false, NULL, NULL, NULL, NULL, NULL, '{}', 'raven-scan', '2026-11-22 01:49:06.681273+00'),
	('01a200f1-6c17-7012-bf23-8770e51d0a42', 'yolox nano from outside', 'imported', 'candidate', 'yolox-nano', '{person,bicycle,car,motorcycle,airplane,bus,train,truck,boat,"traffic light","fire hydrant","stop sign","parking meter",bench,bird,cat,dog,horse,sheep,cow,elephant,bear,zebra,giraffe,backpack,umbrella,handbag,tie,suitcase,frisbee,skis,snowboard,"sports ball",kite,"baseball bat","baseball glove",skateboard,surfboard,"tennis racket",bottle,"wine glass",cup,fork,knife,spoon,bowl,banana,apple,sandwich,orange,broccoli,carrot,"hot dog",pizza,donut,cake,chair,couch,"potted plant",bed,"dining table",toilet,tv,laptop,mouse,remote,keyboard,"cell phone",microwave,oven,toaster,sink,refrigerator,book,clock,vase,scissors,"teddy bear","hair drier",toothbrush}', 'coco', '4edcf014d9f23a19d88b94cb3b23147aa6c1b6547638b4b5a36d4e783ff8a45a', 3785644, NULL, 912159, NULL, NULL, NULL, false, NULL, NULL, NULL, NULL, '{"url": null, "meta": {"form": "torch zip", "epoch": null, "place": "state_dict", "texts": {}, "dtypes": {"int64": 104, "float32": 538}, "dropped": [], "not_read": [], "iteration": null, "not_finite": [], "size_bytes": 3711036, "tensor_count": 642, "parameter_count": 927655}, "sha256": "08f76f2b3cb1bd5bb610a9a67d63f5fafd98b457c213fc1075eaaaf367a2329d", "matched": 642, "missing": [], "left_out": 0, "file_name": "yolox_nano_coco_mmdet.pth", "mismatched": [], "unexpected": []}', '{"torch": "2.14.1", "onedl-mmcv": "2.3.6", "torchvision": "0.29.1", "onedl-mmengine": "0.10.12", "onedl-mmdetection": "3.5.1"}', 'local administrator', '2026-11-22 01:49:11.575582+00'),
	('01a200f1-6c62-746f-a883-cce1585b3d37', 'it went well', 'trained', 'candidate', 'yolox-nano', '{waste}', 'coco', '9a129038d9a00aed0cf6a7ea059ca50a813449061ab87848cf1a13eafdf33b2c', 7, '44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a', 900000, '{"f1": 0.545, "map": 0.31, "map50": 0.55, "map75": 0.3, "recall": 0.5, "by_class": {"waste": {"map": 0.31, "map_small": null}}, "box_count": 9, "map_large": null, "map_small": null, "precision": 0.6, "confidence": 0.35, "map_medium": null, "image_count": 4}', '{"f1": 0.545, "map": 0.31, "map50": 0.55, "map75": 0.3, "recall": 0.5, "by_class": {"waste": {"map": 0.31, "map_small": null}}, "box_count": 9, "map_large": null, "map_small": null, "precision": 0.6, "confidence": 0.35, "map_medium": null, "image_count": 4}', NULL, false, '01a200f1-58f9-7577-a32e-174c890d1c2f', '01a200f1-599c-70ed-b761-719e9903f0a8', '01a200f1-6c36-7704-a443-939ae9e2c476', '{"seed": 0, "epochs": 3, "schedule": "cosine", "precision": "float32", "batch_size": 4, "image_size": 64, "augmentation": "off", "weight_decay": null, "frozen_stages": null, "learning_rate": null, "warmup_epochs": 0.0, "loader_processes": 0, "checkpoint_interval": 1, "validation_interval": 1, "early_stopping_patience": null}', NULL, '{"torch": "2.14.1", "onedl-mmdetection": "3.5.1"}', 'worker', '2026-11-22 01:49:11.650068+00');

--
-- Data for Name: training_run_attempts; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.training_run_attempts VALUES
	('01a200f1-6c36-7704-a443-939ae9e2c476', 1, 'raven-node-1:4711:1763700000.12', 'cpu', '2026-11-22 01:49:11.628065+00', '2026-11-22 01:49:11.628065+00', '2026-11-22 01:49:11.649207+00', 'success', ''),
	('01a200f1-6c70-766e-afc0-5a9c70284316', 1, 'raven-node-1:4711:1763700000.12', 'cpu', '2026-11-22 01:49:11.680126+00', '2026-11-22 01:49:11.680126+00', '2026-11-22 01:49:11.689308+00', 'error', 'diverged'),
	('01a200f1-6c91-72d2-bdd5-b60aa9a9ae27', 1, 'raven-node-1:4711:1763700000.12', 'cpu', '2026-11-22 01:49:11.711764+00', '2026-11-22 01:49:11.711764+00', '2026-11-22 01:49:11.722267+00', 'worker_stopped', 'The worker stopped.'),
	('01a200f1-6cb6-755f-a452-203b5735e97d', 1, 'raven-node-1:4711:1763700000.12', 'cpu', '2026-11-22 01:49:11.750573+00', '2026-11-22 01:49:11.750573+00', '2026-11-22 01:49:11.760848+00', 'worker_stopped', 'The worker stopped.'),
	('01a200f1-6ceb-76cc-ac81-6fbb44aeb156', 1, 'raven-node-1:4711:1763700000.12', 'cpu', '2026-11-22 01:49:11.800008+00', '2026-11-22 01:49:11.800008+00', '2026-11-22 01:49:11.810836+00', 'worker_stopped', 'The worker stopped.'),
	('01a200f1-6d09-7360-ba17-f3580cfc7cb9', 1, 'raven-node-1:4711:1763700000.12', 'cpu', '2026-11-22 01:49:11.830169+00', '2026-11-22 01:49:11.830169+00', '2026-11-22 01:49:11.838125+00', 'worker_stopped', 'The worker stopped.'),
	('01a200f1-6d09-7360-ba17-f3580cfc7cb9', 2, 'raven-node-1:4711:1763700000.12', 'cuda:0', '2026-11-22 01:49:11.841682+00', '2026-11-22 01:49:11.841682+00', NULL, NULL, '');

--
-- Data for Name: training_run_metrics; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.training_run_metrics VALUES
	('01a200f1-6c36-7704-a443-939ae9e2c476', 'loss', 1, 0, 5),
	('01a200f1-6c36-7704-a443-939ae9e2c476', 'learning_rate', 1, 0, 0.001),
	('01a200f1-6c36-7704-a443-939ae9e2c476', 'loss/boxes', 1, 0, 2),
	('01a200f1-6c36-7704-a443-939ae9e2c476', 'loss', 2, 0, 2.5),
	('01a200f1-6c36-7704-a443-939ae9e2c476', 'learning_rate', 2, 0, 0.001),
	('01a200f1-6c36-7704-a443-939ae9e2c476', 'loss/boxes', 2, 0, 1),
	('01a200f1-6c36-7704-a443-939ae9e2c476', 'loss', 3, 0, 1.6666666666666667),
	('01a200f1-6c36-7704-a443-939ae9e2c476', 'learning_rate', 3, 0, 0.001),
	('01a200f1-6c36-7704-a443-939ae9e2c476', 'loss/boxes', 3, 0, NULL),
	('01a200f1-6c36-7704-a443-939ae9e2c476', 'loss', 4, 0, 1.25),
	('01a200f1-6c36-7704-a443-939ae9e2c476', 'learning_rate', 4, 0, 0.001),
	('01a200f1-6c36-7704-a443-939ae9e2c476', 'loss/boxes', 4, 0, 0.5),
	('01a200f1-6c36-7704-a443-939ae9e2c476', 'loss', 5, 1, 1),
	('01a200f1-6c36-7704-a443-939ae9e2c476', 'learning_rate', 5, 1, 0.001),
	('01a200f1-6c36-7704-a443-939ae9e2c476', 'loss/boxes', 5, 1, 0.4),
	('01a200f1-6c36-7704-a443-939ae9e2c476', 'loss', 6, 1, 0.8333333333333334),
	('01a200f1-6c36-7704-a443-939ae9e2c476', 'learning_rate', 6, 1, 0.001),
	('01a200f1-6c36-7704-a443-939ae9e2c476', 'loss/boxes', 6, 1, 0.3333333333333333),
	('01a200f1-6c36-7704-a443-939ae9e2c476', 'loss', 7, 1, 0.7142857142857143),
	('01a200f1-6c36-7704-a443-939ae9e2c476', 'learning_rate', 7, 1, 0.001),
	('01a200f1-6c36-7704-a443-939ae9e2c476', 'loss/boxes', 7, 1, 0.2857142857142857),
	('01a200f1-6c36-7704-a443-939ae9e2c476', 'loss', 8, 1, 0.625),
	('01a200f1-6c36-7704-a443-939ae9e2c476', 'learning_rate', 8, 1, 0.001),
	('01a200f1-6c36-7704-a443-939ae9e2c476', 'loss/boxes', 8, 1, 0.25),
	('01a200f1-6c36-7704-a443-939ae9e2c476', 'loss', 9, 2, 0.5555555555555556),
	('01a200f1-6c36-7704-a443-939ae9e2c476', 'learning_rate', 9, 2, 0.001),
	('01a200f1-6c36-7704-a443-939ae9e2c476', 'loss/boxes', 9, 2, 0.2222222222222222),
	('01a200f1-6c36-7704-a443-939ae9e2c476', 'loss', 10, 2, 0.5),
	('01a200f1-6c36-7704-a443-939ae9e2c476', 'learning_rate', 10, 2, 0.001),
	('01a200f1-6c36-7704-a443-939ae9e2c476', 'loss/boxes', 10, 2, 0.2),
	('01a200f1-6c36-7704-a443-939ae9e2c476', 'loss', 11, 2, 0.45454545454545453),
	('01a200f1-6c36-7704-a443-939ae9e2c476', 'learning_rate', 11, 2, 0.001),
	('01a200f1-6c36-7704-a443-939ae9e2c476', 'loss/boxes', 11, 2, 0.18181818181818182),
	('01a200f1-6c36-7704-a443-939ae9e2c476', 'loss', 12, 2, 0.4166666666666667),
	('01a200f1-6c36-7704-a443-939ae9e2c476', 'learning_rate', 12, 2, 0.001),
	('01a200f1-6c36-7704-a443-939ae9e2c476', 'loss/boxes', 12, 2, 0.16666666666666666),
	('01a200f1-6c36-7704-a443-939ae9e2c476', 'valid/map50', 4, 1, 0.25),
	('01a200f1-6c70-766e-afc0-5a9c70284316', 'loss', 1, 0, 5),
	('01a200f1-6c70-766e-afc0-5a9c70284316', 'learning_rate', 1, 0, 0.001),
	('01a200f1-6c70-766e-afc0-5a9c70284316', 'loss/boxes', 1, 0, 2),
	('01a200f1-6c70-766e-afc0-5a9c70284316', 'loss', 2, 0, 2.5),
	('01a200f1-6c70-766e-afc0-5a9c70284316', 'learning_rate', 2, 0, 0.001),
	('01a200f1-6c70-766e-afc0-5a9c70284316', 'loss/boxes', 2, 0, 1),
	('01a200f1-6c70-766e-afc0-5a9c70284316', 'loss', 3, 0, 1.6666666666666667),
	('01a200f1-6c70-766e-afc0-5a9c70284316', 'learning_rate', 3, 0, 0.001),
	('01a200f1-6c70-766e-afc0-5a9c70284316', 'loss/boxes', 3, 0, NULL),
	('01a200f1-6c70-766e-afc0-5a9c70284316', 'valid/map50', 4, 1, 0.25),
	('01a200f1-6c91-72d2-bdd5-b60aa9a9ae27', 'loss', 1, 0, 5),
	('01a200f1-6c91-72d2-bdd5-b60aa9a9ae27', 'learning_rate', 1, 0, 0.001),
	('01a200f1-6c91-72d2-bdd5-b60aa9a9ae27', 'loss/boxes', 1, 0, 2),
	('01a200f1-6c91-72d2-bdd5-b60aa9a9ae27', 'loss', 2, 0, 2.5),
	('01a200f1-6c91-72d2-bdd5-b60aa9a9ae27', 'learning_rate', 2, 0, 0.001),
	('01a200f1-6c91-72d2-bdd5-b60aa9a9ae27', 'loss/boxes', 2, 0, 1),
	('01a200f1-6c91-72d2-bdd5-b60aa9a9ae27', 'loss', 3, 0, 1.6666666666666667),
	('01a200f1-6c91-72d2-bdd5-b60aa9a9ae27', 'learning_rate', 3, 0, 0.001),
	('01a200f1-6c91-72d2-bdd5-b60aa9a9ae27', 'loss/boxes', 3, 0, NULL),
	('01a200f1-6c91-72d2-bdd5-b60aa9a9ae27', 'loss', 4, 0, 1.25),
	('01a200f1-6c91-72d2-bdd5-b60aa9a9ae27', 'learning_rate', 4, 0, 0.001),
	('01a200f1-6c91-72d2-bdd5-b60aa9a9ae27', 'loss/boxes', 4, 0, 0.5),
	('01a200f1-6c91-72d2-bdd5-b60aa9a9ae27', 'loss', 5, 1, 1),
	('01a200f1-6c91-72d2-bdd5-b60aa9a9ae27', 'learning_rate', 5, 1, 0.001),
	('01a200f1-6c91-72d2-bdd5-b60aa9a9ae27', 'loss/boxes', 5, 1, 0.4),
	('01a200f1-6c91-72d2-bdd5-b60aa9a9ae27', 'valid/map50', 4, 1, 0.25),
	('01a200f1-6cb6-755f-a452-203b5735e97d', 'loss', 1, 0, 5),
	('01a200f1-6cb6-755f-a452-203b5735e97d', 'learning_rate', 1, 0, 0.001),
	('01a200f1-6cb6-755f-a452-203b5735e97d', 'loss/boxes', 1, 0, 2),
	('01a200f1-6cb6-755f-a452-203b5735e97d', 'loss', 2, 0, 2.5),
	('01a200f1-6cb6-755f-a452-203b5735e97d', 'learning_rate', 2, 0, 0.001),
	('01a200f1-6cb6-755f-a452-203b5735e97d', 'loss/boxes', 2, 0, 1),
	('01a200f1-6cb6-755f-a452-203b5735e97d', 'loss', 3, 0, 1.6666666666666667),
	('01a200f1-6cb6-755f-a452-203b5735e97d', 'learning_rate', 3, 0, 0.001),
	('01a200f1-6cb6-755f-a452-203b5735e97d', 'loss/boxes', 3, 0, NULL),
	('01a200f1-6cb6-755f-a452-203b5735e97d', 'loss', 4, 0, 1.25),
	('01a200f1-6cb6-755f-a452-203b5735e97d', 'learning_rate', 4, 0, 0.001),
	('01a200f1-6cb6-755f-a452-203b5735e97d', 'loss/boxes', 4, 0, 0.5),
	('01a200f1-6cb6-755f-a452-203b5735e97d', 'loss', 5, 1, 1),
	('01a200f1-6cb6-755f-a452-203b5735e97d', 'learning_rate', 5, 1, 0.001),
	('01a200f1-6cb6-755f-a452-203b5735e97d', 'loss/boxes', 5, 1, 0.4),
	('01a200f1-6cb6-755f-a452-203b5735e97d', 'valid/map50', 4, 1, 0.25),
	('01a200f1-6ceb-76cc-ac81-6fbb44aeb156', 'loss', 1, 0, 5),
	('01a200f1-6ceb-76cc-ac81-6fbb44aeb156', 'learning_rate', 1, 0, 0.001),
	('01a200f1-6ceb-76cc-ac81-6fbb44aeb156', 'loss/boxes', 1, 0, 2),
	('01a200f1-6ceb-76cc-ac81-6fbb44aeb156', 'loss', 2, 0, 2.5),
	('01a200f1-6ceb-76cc-ac81-6fbb44aeb156', 'learning_rate', 2, 0, 0.001),
	('01a200f1-6ceb-76cc-ac81-6fbb44aeb156', 'loss/boxes', 2, 0, 1),
	('01a200f1-6ceb-76cc-ac81-6fbb44aeb156', 'loss', 3, 0, 1.6666666666666667),
	('01a200f1-6ceb-76cc-ac81-6fbb44aeb156', 'learning_rate', 3, 0, 0.001),
	('01a200f1-6ceb-76cc-ac81-6fbb44aeb156', 'loss/boxes', 3, 0, NULL),
	('01a200f1-6ceb-76cc-ac81-6fbb44aeb156', 'loss', 4, 0, 1.25),
	('01a200f1-6ceb-76cc-ac81-6fbb44aeb156', 'learning_rate', 4, 0, 0.001),
	('01a200f1-6ceb-76cc-ac81-6fbb44aeb156', 'loss/boxes', 4, 0, 0.5),
	('01a200f1-6ceb-76cc-ac81-6fbb44aeb156', 'loss', 5, 1, 1),
	('01a200f1-6ceb-76cc-ac81-6fbb44aeb156', 'learning_rate', 5, 1, 0.001),
	('01a200f1-6ceb-76cc-ac81-6fbb44aeb156', 'loss/boxes', 5, 1, 0.4),
	('01a200f1-6ceb-76cc-ac81-6fbb44aeb156', 'loss', 6, 1, 0.8333333333333334),
	('01a200f1-6ceb-76cc-ac81-6fbb44aeb156', 'learning_rate', 6, 1, 0.001),
	('01a200f1-6ceb-76cc-ac81-6fbb44aeb156', 'loss/boxes', 6, 1, 0.3333333333333333),
	('01a200f1-6ceb-76cc-ac81-6fbb44aeb156', 'loss', 7, 1, 0.7142857142857143),
	('01a200f1-6ceb-76cc-ac81-6fbb44aeb156', 'learning_rate', 7, 1, 0.001),
	('01a200f1-6ceb-76cc-ac81-6fbb44aeb156', 'loss/boxes', 7, 1, 0.2857142857142857),
	('01a200f1-6ceb-76cc-ac81-6fbb44aeb156', 'loss', 8, 1, 0.625),
	('01a200f1-6ceb-76cc-ac81-6fbb44aeb156', 'learning_rate', 8, 1, 0.001),
	('01a200f1-6ceb-76cc-ac81-6fbb44aeb156', 'loss/boxes', 8, 1, 0.25),
	('01a200f1-6ceb-76cc-ac81-6fbb44aeb156', 'loss', 9, 2, 0.5555555555555556),
	('01a200f1-6ceb-76cc-ac81-6fbb44aeb156', 'learning_rate', 9, 2, 0.001),
	('01a200f1-6ceb-76cc-ac81-6fbb44aeb156', 'loss/boxes', 9, 2, 0.2222222222222222),
	('01a200f1-6ceb-76cc-ac81-6fbb44aeb156', 'valid/map50', 4, 1, 0.25),
	('01a200f1-6d09-7360-ba17-f3580cfc7cb9', 'loss', 1, 0, 5),
	('01a200f1-6d09-7360-ba17-f3580cfc7cb9', 'learning_rate', 1, 0, 0.001),
	('01a200f1-6d09-7360-ba17-f3580cfc7cb9', 'loss/boxes', 1, 0, 2),
	('01a200f1-6d09-7360-ba17-f3580cfc7cb9', 'loss', 2, 0, 2.5),
	('01a200f1-6d09-7360-ba17-f3580cfc7cb9', 'learning_rate', 2, 0, 0.001),
	('01a200f1-6d09-7360-ba17-f3580cfc7cb9', 'loss/boxes', 2, 0, 1),
	('01a200f1-6d09-7360-ba17-f3580cfc7cb9', 'loss', 3, 0, 1.6666666666666667),
	('01a200f1-6d09-7360-ba17-f3580cfc7cb9', 'learning_rate', 3, 0, 0.001),
	('01a200f1-6d09-7360-ba17-f3580cfc7cb9', 'loss/boxes', 3, 0, NULL),
	('01a200f1-6d09-7360-ba17-f3580cfc7cb9', 'loss', 4, 0, 1.25),
	('01a200f1-6d09-7360-ba17-f3580cfc7cb9', 'learning_rate', 4, 0, 0.001),
	('01a200f1-6d09-7360-ba17-f3580cfc7cb9', 'loss/boxes', 4, 0, 0.5),
	('01a200f1-6d09-7360-ba17-f3580cfc7cb9', 'loss', 5, 1, 1),
	('01a200f1-6d09-7360-ba17-f3580cfc7cb9', 'learning_rate', 5, 1, 0.001),
	('01a200f1-6d09-7360-ba17-f3580cfc7cb9', 'loss/boxes', 5, 1, 0.4),
	('01a200f1-6d09-7360-ba17-f3580cfc7cb9', 'loss', 6, 1, 0.8333333333333334),
	('01a200f1-6d09-7360-ba17-f3580cfc7cb9', 'learning_rate', 6, 1, 0.001),
	('01a200f1-6d09-7360-ba17-f3580cfc7cb9', 'loss/boxes', 6, 1, 0.3333333333333333),
	('01a200f1-6d09-7360-ba17-f3580cfc7cb9', 'loss', 7, 1, 0.7142857142857143),
	('01a200f1-6d09-7360-ba17-f3580cfc7cb9', 'learning_rate', 7, 1, 0.001),
	('01a200f1-6d09-7360-ba17-f3580cfc7cb9', 'loss/boxes', 7, 1, 0.2857142857142857),
	('01a200f1-6d09-7360-ba17-f3580cfc7cb9', 'valid/map50', 4, 1, 0.25);

--
-- Data for Name: training_runs; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.training_runs VALUES
	('01a200f1-6c2a-774a-8d88-2c16b2297a14', 'a draft', 'Draft', '01a200f1-59b8-7322-9e94-c060c270c8a4', 'dump sites@2', '01a200f1-6c17-7012-bf23-8770e51d0a42', 'yolox nano from outside', 'yolox-nano', '{"seed": 0, "epochs": 3, "schedule": "cosine", "precision": "float32", "batch_size": 4, "image_size": 64, "augmentation": "off", "weight_decay": 0.05, "frozen_stages": 4, "learning_rate": 0.000707, "warmup_epochs": 0.0, "loader_processes": 0, "checkpoint_interval": 1, "validation_interval": 1, "early_stopping_patience": null}', '{}', '[]', NULL, NULL, NULL, NULL, 0, NULL, NULL, 'local administrator', '2026-11-22 01:49:11.596329+00', NULL, NULL, NULL),
	('01a200f1-6c36-7704-a443-939ae9e2c476', 'it went well', 'Success', '01a200f1-599c-70ed-b761-719e9903f0a8', 'dump sites@1', '01a200f1-58f9-7577-a32e-174c890d1c2f', 'yolox-nano', 'yolox-nano', '{"seed": 0, "epochs": 3, "schedule": "cosine", "precision": "float32", "batch_size": 4, "image_size": 64, "augmentation": "off", "weight_decay": 0.05, "frozen_stages": 0, "learning_rate": 0.000707, "warmup_epochs": 0.0, "loader_processes": 0, "checkpoint_interval": 1, "validation_interval": 1, "early_stopping_patience": null}', '{"map": null, "loss": null, "step": 12, "epoch": 3, "map50": null, "phase": "", "steps": 12, "epochs": 3, "memory_mb": null, "step_time_s": null, "time_left_s": null, "learning_rate": null}', '["yolox-nano starts from random weights: it has learned nothing yet, and needs many images and epochs.", "The loader waits."]', '{"map": 0.1, "map50": 0.25, "map75": null}', NULL, '01a200f1-6c62-746f-a883-cce1585b3d37', 'it went well', 1, 1, NULL, 'local administrator', '2026-11-22 01:49:11.606719+00', '2026-11-22 01:49:11.620626+00', '2026-11-22 01:49:11.628065+00', '2026-11-22 01:49:11.649207+00'),
	('01a200f1-6c70-766e-afc0-5a9c70284316', 'it diverged', 'Error', '01a200f1-599c-70ed-b761-719e9903f0a8', 'dump sites@1', '01a200f1-58f9-7577-a32e-174c890d1c2f', 'yolox-nano', 'yolox-nano', '{"seed": 0, "epochs": 3, "schedule": "cosine", "precision": "float32", "batch_size": 4, "image_size": 64, "augmentation": "off", "weight_decay": 0.05, "frozen_stages": 0, "learning_rate": 0.000707, "warmup_epochs": 0.0, "loader_processes": 0, "checkpoint_interval": 1, "validation_interval": 1, "early_stopping_patience": null}', '{"map": 0.1, "loss": 1.6666666666666667, "step": 3, "epoch": 0, "map50": 0.25, "phase": "training", "steps": 12, "epochs": 3, "memory_mb": 900.5, "step_time_s": 0.2, "time_left_s": 3.5, "learning_rate": 0.001}', '["yolox-nano starts from random weights: it has learned nothing yet, and needs many images and epochs."]', '{"map": 0.1, "map50": 0.25, "map75": null}', '{"code": "diverged", "hint": "Lower the learning rate.", "message": "The loss is not finite.", "log_tail": ["Traceback", "loss: nan"]}', NULL, NULL, 1, 2, NULL, 'local administrator', '2026-11-22 01:49:11.665362+00', '2026-11-22 01:49:11.676124+00', '2026-11-22 01:49:11.680126+00', '2026-11-22 01:49:11.689308+00'),
	('01a200f1-6c91-72d2-bdd5-b60aa9a9ae27', 'it rests', 'Paused', '01a200f1-599c-70ed-b761-719e9903f0a8', 'dump sites@1', '01a200f1-58f9-7577-a32e-174c890d1c2f', 'yolox-nano', 'yolox-nano', '{"seed": 0, "epochs": 3, "schedule": "cosine", "precision": "float32", "batch_size": 4, "image_size": 64, "augmentation": "off", "weight_decay": 0.05, "frozen_stages": 0, "learning_rate": 0.000707, "warmup_epochs": 0.0, "loader_processes": 0, "checkpoint_interval": 1, "validation_interval": 1, "early_stopping_patience": null}', '{"map": 0.1, "loss": 1.0, "step": 5, "epoch": 1, "map50": 0.25, "phase": "", "steps": 12, "epochs": 3, "memory_mb": 900.5, "step_time_s": 0.2, "time_left_s": null, "learning_rate": 0.001}', '["yolox-nano starts from random weights: it has learned nothing yet, and needs many images and epochs."]', '{"map": 0.1, "map50": 0.25, "map75": null}', NULL, NULL, NULL, 1, NULL, '{"path": "/srv/raven/runs/01a200f1-6c91-72d2-bdd5-b60aa9a9ae27/checkpoints/epoch_1.pth", "step": 4, "epoch": 1}', 'local administrator', '2026-11-22 01:49:11.697908+00', '2026-11-22 01:49:11.707454+00', '2026-11-22 01:49:11.711764+00', NULL),
	('01a200f1-6cb6-755f-a452-203b5735e97d', 'nobody wants it', 'Cancelled', '01a200f1-599c-70ed-b761-719e9903f0a8', 'dump sites@1', '01a200f1-58f9-7577-a32e-174c890d1c2f', 'yolox-nano', 'yolox-nano', '{"seed": 0, "epochs": 3, "schedule": "cosine", "precision": "float32", "batch_size": 4, "image_size": 64, "augmentation": "off", "weight_decay": 0.05, "frozen_stages": 0, "learning_rate": 0.000707, "warmup_epochs": 0.0, "loader_processes": 0, "checkpoint_interval": 1, "validation_interval": 1, "early_stopping_patience": null}', '{"map": 0.1, "loss": 1.0, "step": 5, "epoch": 1, "map50": 0.25, "phase": "", "steps": 12, "epochs": 3, "memory_mb": 900.5, "step_time_s": 0.2, "time_left_s": null, "learning_rate": 0.001}', '["yolox-nano starts from random weights: it has learned nothing yet, and needs many images and epochs."]', '{"map": 0.1, "map50": 0.25, "map75": null}', NULL, NULL, NULL, 1, NULL, '{"path": "/srv/raven/runs/01a200f1-6cb6-755f-a452-203b5735e97d/checkpoints/epoch_1.pth", "step": 4, "epoch": 1}', 'local administrator', '2026-11-22 01:49:11.734937+00', '2026-11-22 01:49:11.746016+00', '2026-11-22 01:49:11.750573+00', '2026-11-22 01:49:11.76437+00'),
	('01a200f1-6cd9-732e-a414-a372edb452ee', 'second in line', 'Waiting', '01a200f1-599c-70ed-b761-719e9903f0a8', 'dump sites@1', '01a200f1-58f9-7577-a32e-174c890d1c2f', 'yolox-nano', 'yolox-nano', '{"seed": 0, "epochs": 3, "schedule": "cosine", "precision": "float32", "batch_size": 4, "image_size": 64, "augmentation": "off", "weight_decay": 0.05, "frozen_stages": 0, "learning_rate": 0.000707, "warmup_epochs": 0.0, "loader_processes": 0, "checkpoint_interval": 1, "validation_interval": 1, "early_stopping_patience": null}', '{}', '["yolox-nano starts from random weights: it has learned nothing yet, and needs many images and epochs."]', NULL, NULL, NULL, NULL, 0, 7, NULL, 'local administrator', '2026-11-22 01:49:11.77037+00', '2026-11-22 01:49:11.779311+00', NULL, NULL),
	('01a200f1-6ceb-76cc-ac81-6fbb44aeb156', 'it goes on', 'Waiting', '01a200f1-599c-70ed-b761-719e9903f0a8', 'dump sites@1', '01a200f1-58f9-7577-a32e-174c890d1c2f', 'yolox-nano', 'yolox-nano', '{"seed": 0, "epochs": 3, "schedule": "cosine", "precision": "float32", "batch_size": 4, "image_size": 64, "augmentation": "off", "weight_decay": 0.05, "frozen_stages": 0, "learning_rate": 0.000707, "warmup_epochs": 0.0, "loader_processes": 0, "checkpoint_interval": 1, "validation_interval": 1, "early_stopping_patience": null}', '{"map": 0.1, "loss": 0.5555555555555556, "step": 9, "epoch": 2, "map50": 0.25, "phase": "", "steps": 12, "epochs": 3, "memory_mb": 900.5, "step_time_s": 0.2, "time_left_s": null, "learning_rate": 0.001}', '["yolox-nano starts from random weights: it has learned nothing yet, and needs many images and epochs.", "The loader waits."]', '{"map": 0.1, "map50": 0.25, "map75": null}', NULL, NULL, NULL, 1, 9, '{"path": "/srv/raven/runs/01a200f1-6ceb-76cc-ac81-6fbb44aeb156/checkpoints/epoch_2.pth", "step": 8, "epoch": 2}', 'local administrator', '2026-11-22 01:49:11.787516+00', '2026-11-22 01:49:11.795986+00', '2026-11-22 01:49:11.800008+00', NULL),
	('01a200f1-6d09-7360-ba17-f3580cfc7cb9', 'at work', 'Processing', '01a200f1-599c-70ed-b761-719e9903f0a8', 'dump sites@1', '01a200f1-58f9-7577-a32e-174c890d1c2f', 'yolox-nano', 'yolox-nano', '{"seed": 0, "epochs": 3, "schedule": "cosine", "precision": "float32", "batch_size": 4, "image_size": 64, "augmentation": "off", "weight_decay": 0.05, "frozen_stages": 0, "learning_rate": 0.000707, "warmup_epochs": 0.0, "loader_processes": 0, "checkpoint_interval": 1, "validation_interval": 1, "early_stopping_patience": null}', '{"map": 0.1, "loss": 0.7142857142857143, "step": 7, "epoch": 1, "map50": 0.25, "phase": "training", "steps": 12, "epochs": 3, "memory_mb": 900.5, "step_time_s": 0.2, "time_left_s": 3.5, "learning_rate": 0.001}', '["yolox-nano starts from random weights: it has learned nothing yet, and needs many images and epochs."]', '{"map": 0.1, "map50": 0.25, "map75": null}', NULL, NULL, NULL, 2, 11, '{"path": "/srv/raven/runs/01a200f1-6d09-7360-ba17-f3580cfc7cb9/checkpoints/epoch_1.pth", "step": 4, "epoch": 1}', 'local administrator', '2026-11-22 01:49:11.818417+00', '2026-11-22 01:49:11.827189+00', '2026-11-22 01:49:11.830169+00', NULL);

SELECT pg_catalog.setval('public.procrastinate_events_id_seq', 18, true);

SELECT pg_catalog.setval('public.procrastinate_jobs_id_seq', 13, true);

SELECT pg_catalog.setval('public.procrastinate_periodic_defers_id_seq', 1, false);

SELECT pg_catalog.setval('public.procrastinate_workers_id_seq', 1, true);

ALTER TABLE ONLY public.alembic_version
    ADD CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num);

ALTER TABLE ONLY public.dataset_versions
    ADD CONSTRAINT pk_dataset_versions PRIMARY KEY (id);

ALTER TABLE ONLY public.datasets
    ADD CONSTRAINT pk_datasets PRIMARY KEY (id);

ALTER TABLE ONLY public.trained_models
    ADD CONSTRAINT pk_trained_models PRIMARY KEY (id);

ALTER TABLE ONLY public.training_run_attempts
    ADD CONSTRAINT pk_training_run_attempts PRIMARY KEY (run_id, number);

ALTER TABLE ONLY public.training_run_metrics
    ADD CONSTRAINT pk_training_run_metrics PRIMARY KEY (run_id, name, step);

ALTER TABLE ONLY public.training_runs
    ADD CONSTRAINT pk_training_runs PRIMARY KEY (id);

ALTER TABLE ONLY public.procrastinate_events
    ADD CONSTRAINT procrastinate_events_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.procrastinate_jobs
    ADD CONSTRAINT procrastinate_jobs_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.procrastinate_periodic_defers
    ADD CONSTRAINT procrastinate_periodic_defers_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.procrastinate_periodic_defers
    ADD CONSTRAINT procrastinate_periodic_defers_unique UNIQUE (task_name, periodic_id, defer_timestamp);

ALTER TABLE ONLY public.procrastinate_workers
    ADD CONSTRAINT procrastinate_workers_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.dataset_versions
    ADD CONSTRAINT uq_dataset_versions_dataset_id_number UNIQUE (dataset_id, number);

ALTER TABLE ONLY public.datasets
    ADD CONSTRAINT uq_datasets_name UNIQUE (name);

ALTER TABLE ONLY public.trained_models
    ADD CONSTRAINT uq_trained_models_name UNIQUE (name);

ALTER TABLE ONLY public.trained_models
    ADD CONSTRAINT uq_trained_models_training_run_id UNIQUE (training_run_id);

ALTER TABLE ONLY public.training_runs
    ADD CONSTRAINT uq_training_runs_name UNIQUE (name);

CREATE INDEX idx_procrastinate_jobs_worker_not_null ON public.procrastinate_jobs USING btree (worker_id) WHERE ((worker_id IS NOT NULL) AND (status = 'doing'::public.procrastinate_job_status));

CREATE INDEX idx_procrastinate_workers_last_heartbeat ON public.procrastinate_workers USING btree (last_heartbeat);

CREATE INDEX ix_training_runs_status_id ON public.training_runs USING btree (status, id);

CREATE INDEX procrastinate_events_job_id_fkey_v1 ON public.procrastinate_events USING btree (job_id);

CREATE INDEX procrastinate_jobs_id_lock_idx_v1 ON public.procrastinate_jobs USING btree (id, lock) WHERE (status = ANY (ARRAY['todo'::public.procrastinate_job_status, 'doing'::public.procrastinate_job_status]));

CREATE UNIQUE INDEX procrastinate_jobs_lock_idx_v1 ON public.procrastinate_jobs USING btree (lock) WHERE (status = 'doing'::public.procrastinate_job_status);

CREATE INDEX procrastinate_jobs_priority_idx_v1 ON public.procrastinate_jobs USING btree (priority DESC, id) WHERE (status = 'todo'::public.procrastinate_job_status);

CREATE INDEX procrastinate_jobs_queue_name_idx_v1 ON public.procrastinate_jobs USING btree (queue_name);

CREATE UNIQUE INDEX procrastinate_jobs_queueing_lock_idx_v1 ON public.procrastinate_jobs USING btree (queueing_lock) WHERE (status = 'todo'::public.procrastinate_job_status);

CREATE INDEX procrastinate_periodic_defers_job_id_fkey_v1 ON public.procrastinate_periodic_defers USING btree (job_id);

CREATE UNIQUE INDEX uq_trained_models_builtin_architecture ON public.trained_models USING btree (architecture) WHERE (origin = 'builtin'::text);

CREATE TRIGGER procrastinate_jobs_notify_queue_job_aborted_v1 AFTER UPDATE OF abort_requested ON public.procrastinate_jobs FOR EACH ROW WHEN (((old.abort_requested = false) AND (new.abort_requested = true) AND (new.status = 'doing'::public.procrastinate_job_status))) EXECUTE FUNCTION public.procrastinate_notify_queue_abort_job_v1();

CREATE TRIGGER procrastinate_jobs_notify_queue_job_inserted_v1 AFTER INSERT ON public.procrastinate_jobs FOR EACH ROW WHEN ((new.status = 'todo'::public.procrastinate_job_status)) EXECUTE FUNCTION public.procrastinate_notify_queue_job_inserted_v1();

CREATE TRIGGER procrastinate_trigger_abort_requested_events_v1 AFTER UPDATE OF abort_requested ON public.procrastinate_jobs FOR EACH ROW WHEN ((new.abort_requested = true)) EXECUTE FUNCTION public.procrastinate_trigger_abort_requested_events_procedure_v1();

CREATE TRIGGER procrastinate_trigger_delete_jobs_v1 BEFORE DELETE ON public.procrastinate_jobs FOR EACH ROW EXECUTE FUNCTION public.procrastinate_unlink_periodic_defers_v1();

CREATE TRIGGER procrastinate_trigger_scheduled_events_v1 AFTER INSERT OR UPDATE ON public.procrastinate_jobs FOR EACH ROW WHEN (((new.scheduled_at IS NOT NULL) AND (new.status = 'todo'::public.procrastinate_job_status))) EXECUTE FUNCTION public.procrastinate_trigger_function_scheduled_events_v1();

CREATE TRIGGER procrastinate_trigger_status_events_insert_v1 AFTER INSERT ON public.procrastinate_jobs FOR EACH ROW WHEN ((new.status = 'todo'::public.procrastinate_job_status)) EXECUTE FUNCTION public.procrastinate_trigger_function_status_events_insert_v1();

CREATE TRIGGER procrastinate_trigger_status_events_update_v1 AFTER UPDATE OF status ON public.procrastinate_jobs FOR EACH ROW EXECUTE FUNCTION public.procrastinate_trigger_function_status_events_update_v1();

ALTER TABLE ONLY public.dataset_versions
    ADD CONSTRAINT fk_dataset_versions_dataset_id FOREIGN KEY (dataset_id) REFERENCES public.datasets(id);

ALTER TABLE ONLY public.trained_models
    ADD CONSTRAINT fk_trained_models_base_model_id FOREIGN KEY (base_model_id) REFERENCES public.trained_models(id);

ALTER TABLE ONLY public.trained_models
    ADD CONSTRAINT fk_trained_models_dataset_version_id FOREIGN KEY (dataset_version_id) REFERENCES public.dataset_versions(id);

ALTER TABLE ONLY public.training_run_attempts
    ADD CONSTRAINT fk_training_run_attempts_run_id FOREIGN KEY (run_id) REFERENCES public.training_runs(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.training_run_metrics
    ADD CONSTRAINT fk_training_run_metrics_run_id FOREIGN KEY (run_id) REFERENCES public.training_runs(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.training_runs
    ADD CONSTRAINT fk_training_runs_base_model_id FOREIGN KEY (base_model_id) REFERENCES public.trained_models(id);

ALTER TABLE ONLY public.training_runs
    ADD CONSTRAINT fk_training_runs_dataset_version_id FOREIGN KEY (dataset_version_id) REFERENCES public.dataset_versions(id);

ALTER TABLE ONLY public.procrastinate_events
    ADD CONSTRAINT procrastinate_events_job_id_fkey FOREIGN KEY (job_id) REFERENCES public.procrastinate_jobs(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.procrastinate_jobs
    ADD CONSTRAINT procrastinate_jobs_worker_id_fkey FOREIGN KEY (worker_id) REFERENCES public.procrastinate_workers(id) ON DELETE SET NULL;

ALTER TABLE ONLY public.procrastinate_periodic_defers
    ADD CONSTRAINT procrastinate_periodic_defers_job_id_fkey FOREIGN KEY (job_id) REFERENCES public.procrastinate_jobs(id);

--
-- PostgreSQL database dump complete
--

-- What applications ask for in their own transaction; Lethe copies it into its record and forgets the key once it has it.
CREATE TABLE lethe.intake (
  id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  verb text NOT NULL CHECK (verb IN ('request', 'confirm', 'cancel')),
  subject_kind text,
  root_key text[],
  data jsonb NOT NULL DEFAULT '{}',
  actor text NOT NULL DEFAULT session_user,
  at timestamptz NOT NULL DEFAULT clock_timestamp(),
  taken_at timestamptz
);
CREATE INDEX intake_open ON lethe.intake (at) WHERE taken_at IS NULL;

-- Called by the application inside its own transaction: the request exists exactly if that transaction commits. Returns the
-- request's id. `identity`: how the person was recognised ('signed-in-session'), null: it has to be confirmed first.
CREATE FUNCTION lethe.request_erasure(
  subject text, key text[], kind text DEFAULT 'account-closure', requester text DEFAULT 'subject',
  identity text DEFAULT NULL, immediate boolean DEFAULT false, ground text DEFAULT NULL, instruction text DEFAULT NULL
) RETURNS uuid LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE made uuid;
BEGIN
  IF subject IS NULL OR key IS NULL OR cardinality(key) = 0 OR array_position(key, NULL) IS NOT NULL THEN
    RAISE EXCEPTION 'lethe.request_erasure: a subject and its key are needed' USING ERRCODE = 'invalid_parameter_value';
  END IF;
  IF kind NOT IN ('account-closure', 'article-17') THEN
    RAISE EXCEPTION 'lethe.request_erasure: kind is account-closure or article-17' USING ERRCODE = 'invalid_parameter_value';
  END IF;
  IF requester NOT IN ('subject', 'guardian', 'representative', 'staff') THEN
    RAISE EXCEPTION 'lethe.request_erasure: requester is subject, guardian, representative or staff'
      USING ERRCODE = 'invalid_parameter_value';
  END IF;
  IF identity IS NOT NULL AND identity NOT IN ('signed-in-session', 'emailed-link', 'staff-check', 'representative') THEN
    RAISE EXCEPTION 'lethe.request_erasure: identity is signed-in-session, emailed-link, staff-check or representative'
      USING ERRCODE = 'invalid_parameter_value';
  END IF;
  INSERT INTO lethe.intake (verb, subject_kind, root_key, data) VALUES ('request', subject, key, jsonb_strip_nulls(jsonb_build_object(
    'kind', kind, 'requester', requester, 'identity', identity, 'immediate', immediate, 'ground', ground, 'instruction', instruction)))
    RETURNING id INTO made;
  RETURN made;
END $$;

-- The application has seen the person: by the session they are signed in with, or the single-use link they followed, whose
-- token it passes on.
CREATE FUNCTION lethe.confirm_erasure(request uuid, identity text, token text DEFAULT NULL) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
  IF request IS NULL OR identity IS NULL OR identity NOT IN ('signed-in-session', 'emailed-link', 'staff-check', 'representative') THEN
    RAISE EXCEPTION 'lethe.confirm_erasure: identity is signed-in-session, emailed-link, staff-check or representative'
      USING ERRCODE = 'invalid_parameter_value';
  END IF;
  IF identity = 'emailed-link' AND token IS NULL THEN
    RAISE EXCEPTION 'lethe.confirm_erasure: emailed-link needs the token of the link' USING ERRCODE = 'invalid_parameter_value';
  END IF;
  INSERT INTO lethe.intake (verb, data) VALUES ('confirm',
    jsonb_strip_nulls(jsonb_build_object('request', request, 'identity', identity, 'token', token)));
END $$;

-- Takes effect as long as nothing was destroyed; access comes back. `token`: of the link that was sent, where nobody is signed
-- in; without it the application vouches for the person.
CREATE FUNCTION lethe.cancel_erasure(request uuid, token text DEFAULT NULL) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
  IF request IS NULL THEN
    RAISE EXCEPTION 'lethe.cancel_erasure: a request is needed' USING ERRCODE = 'invalid_parameter_value';
  END IF;
  INSERT INTO lethe.intake (verb, data) VALUES ('cancel', jsonb_strip_nulls(jsonb_build_object('request', request, 'token', token)));
END $$;
REVOKE ALL ON FUNCTION lethe.request_erasure(text, text[], text, text, text, boolean, text, text) FROM PUBLIC;
REVOKE ALL ON FUNCTION lethe.confirm_erasure(uuid, text, text) FROM PUBLIC;
REVOKE ALL ON FUNCTION lethe.cancel_erasure(uuid, text) FROM PUBLIC;

-- Classes of records that were retained by decision of the request that kept the root: no sweep undoes that before its end.
ALTER TABLE lethe.kept_roots ADD COLUMN classes text[] NOT NULL DEFAULT '{}';

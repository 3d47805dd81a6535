"""The public names of the classes of rclpy 3.3.15, which the last releases of ROS 2 Humble bring."""
API = {
    'rclpy.node.Node':
        'PARAM_REL_TOL add_on_set_parameters_callback add_waitable clients context count_publishers '
        'count_subscribers create_client create_guard_condition create_publisher create_rate create_service '
        'create_subscription create_timer declare_parameter declare_parameters default_callback_group '
        'describe_parameter describe_parameters destroy_client destroy_guard_condition destroy_node '
        'destroy_publisher destroy_rate destroy_service destroy_subscription destroy_timer executor '
        'get_client_names_and_types_by_node get_clock get_fully_qualified_name get_logger get_name get_namespace '
        'get_node_names get_node_names_and_namespaces get_node_names_and_namespaces_with_enclaves get_parameter '
        'get_parameter_or get_parameter_type get_parameter_types get_parameters get_parameters_by_prefix '
        'get_publisher_names_and_types_by_node get_publishers_info_by_topic get_service_names_and_types '
        'get_service_names_and_types_by_node get_subscriber_names_and_types_by_node get_subscriptions_info_by_topic '
        'get_topic_names_and_types guards handle has_parameter publishers remove_on_set_parameters_callback '
        'remove_waitable resolve_service_name resolve_topic_name services set_descriptor set_parameters '
        'set_parameters_atomically subscriptions timers undeclare_parameter waitables',
    'rclpy.lifecycle.node.LifecycleNodeMixin':
        'add_managed_entity create_lifecycle_publisher destroy_lifecycle_publisher on_activate on_cleanup '
        'on_configure on_deactivate on_error on_shutdown trigger_activate trigger_cleanup trigger_configure '
        'trigger_deactivate trigger_shutdown',
    'rclpy.publisher.Publisher':
        'assert_liveliness destroy event_handlers get_subscription_count handle msg_type publish qos_profile topic '
        'topic_name wait_for_all_acked',
    'rclpy.subscription.Subscription':
        'callback callback_group destroy event_handlers handle msg_type qos_profile raw topic topic_name',
    'rclpy.client.Client':
        'call call_async callback_group context destroy get_pending_request handle qos_profile '
        'remove_pending_request service_is_ready srv_name srv_type wait_for_service',
    'rclpy.service.Service':
        'callback callback_group destroy handle qos_profile send_response srv_name srv_type',
    'rclpy.timer.Timer':
        'callback callback_group cancel clock destroy handle is_canceled is_ready reset time_since_last_call '
        'time_until_next_call timer_period_ns',
    'rclpy.clock.Clock':
        'clock_type create_jump_callback handle now sleep_for sleep_until',
    'rclpy.context.Context':
        'destroy get_domain_id handle init ok on_shutdown shutdown try_shutdown',
    'rclpy.executors.Executor':
        'add_node can_execute context create_task get_nodes remove_node shutdown spin spin_once '
        'spin_once_until_future_complete spin_until_future_complete wait_for_ready_callbacks wake',
    'rclpy.guard_condition.GuardCondition':
        'callback callback_group destroy handle trigger',
    'rclpy.parameter.Parameter':
        'Type from_parameter_msg get_parameter_value name to_parameter_msg type_ value',
    'rclpy.qos.QoSProfile':
        'avoid_ros_namespace_conventions deadline depth durability get_c_qos_profile history lifespan liveliness '
        'liveliness_lease_duration reliability',
    'rclpy.time.Time':
        'clock_type from_msg nanoseconds seconds_nanoseconds to_msg',
    'rclpy.duration.Duration':
        'from_msg get_c_duration nanoseconds to_msg',
    'rclpy.task.Future':
        'add_done_callback cancel cancelled done exception result set_exception set_result',
    'rclpy.waitable.Waitable':
        'add_future add_to_wait_set callback_group execute get_num_entities is_ready remove_future take_data',
    'rclpy.impl.rcutils_logger.RcutilsLogger':
        'contexts debug error fatal get_child get_effective_level info is_enabled_for log name set_level warn '
        'warning',
}
